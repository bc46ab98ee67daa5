/* What the halves of LoRA take, whatever the instruction set: low = x A^T, and y += low B. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "attend.h"

/* As stored: see compiled-file.ts. */
enum { float32 = 0, float16 = 1, bfloat16 = 2, int8 = 3 };

typedef float v16 __attribute__((vector_size(64), may_alias));
typedef float v8 __attribute__((vector_size(32), may_alias));
typedef float v4 __attribute__((vector_size(16), may_alias));
typedef uint32_t v16u __attribute__((vector_size(64)));
typedef uint16_t v16s __attribute__((vector_size(32)));

typedef struct {
  const float *x; /* [tokens, in] */
  const void *a;  /* [rank, in] */
  const float *scales; /* of int8: one for each rank */
  float *low; /* [tokens, rank] */
  size_t tokens, in, rank;
  size_t first, end; /* the ranks to compute */
  float scale;
  int type;
} Down;

typedef struct {
  const float *low; /* [tokens, rank] */
  const void *b; /* [rank, out] */
  const float *scales; /* of int8: one for each column */
  float *y; /* of column `shift`; `stride` values from token to token */
  size_t tokens, out, rank, stride, shift;
  size_t first, end; /* the columns to compute */
  int type;
} Up;

typedef struct {
  const char *name;
  void (*down)(const Down *);
  void (*up)(const Up *);
  void (*attend)(const Attend *);
} Halves;

static inline size_t sizeOf(int type) { return type == float32 ? 4 : type == int8 ? 1 : 2; }

/*
 * Loads bytes in order, which memory does fastest: kernels go through several rows at once. Loads, as processors drop prefetches that
 * come faster than memory does.
 */
static inline void bring(const void *from, size_t bytes) {
  enum { line = 64 };
  for (size_t at = 0; at < bytes; at += line) (void)*((const volatile char *)from + at);
}

/* All that this processor can run, the best one first; the last one is plain. */
const Halves *const *halvesHere(void);
