/* What attention takes, whatever the instruction set. */
#pragma once
#include <stddef.h>

/* The largest head, and queries that are computed together at most. */
enum { mostSize = 256, mostQueries = 32 };

/* Queries that share keys and values: of some tokens of one row, for heads of one group. */
typedef struct {
  const float *q;        /* [queries, size] */
  const float *k, *v;    /* [tokens, size] */
  const size_t *from, *to; /* of each query: the tokens that it sees */
  const float *sinks;    /* of each query: a score that nothing is behind; NULL: none */
  float *const *out;     /* of each query: [size] */
  size_t queries, size;  /* size: a multiple of 16 */
  float scale, cap;      /* of scores; cap 0: none */
} Attend;
