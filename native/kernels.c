/*
 * The two halves of LoRA for one instruction set: LEVEL, with the flags of native/build.ts. TOKENS and RANKS are the tile that fits
 * its registers. Sixteen lanes everywhere, each sum in an order that depends on nothing but the features and the rank: a token has
 * the same result, bit for bit, in whatever tile and beside whatever others it is computed. Levels with fused multiply-add agree
 * bit for bit; the plain one rounds products, too.
 */
#include "lanes.h"

#if defined(LEVEL_AVX512)
enum { TOKENS = 4, RANKS = 4 };
#else
enum { TOKENS = 2, RANKS = 2 };
#endif

INLINE Lanes load(const void *from, size_t at, int type) {
  switch (type) {
    case float16: return loadHalf((const uint16_t *)from + at);
    case bfloat16: return loadBrain((const uint16_t *)from + at);
    case int8: return loadInt8((const int8_t *)from + at);
    default: return loadFloat((const float *)from + at);
  }
}

/* The last values of a row, and zeros. */
INLINE Lanes loadEnd(const void *from, size_t at, size_t count, int type) {
  uint32_t room[16] = {0};
  size_t size = sizeOf(type);
  memcpy(room, (const char *)from + at * size, count * size);
  return load(room, 0, type);
}

/* low[t][j] = x[t] . a[j], for a tile of tokens and ranks. */
INLINE void downTile(const Down *d, size_t t0, size_t j0, size_t tokens, size_t ranks, int type) {
  Lanes sums[4][4];
  const size_t whole = d->in & ~(size_t)15;
  for (size_t t = 0; t < tokens; t++)
    for (size_t j = 0; j < ranks; j++) sums[t][j] = everywhere(0);
  for (size_t k = 0; k < d->in; k += 16) {
    Lanes a[4];
    const size_t left = d->in - k;
#pragma GCC unroll 8
    for (size_t j = 0; j < ranks; j++)
      a[j] = k < whole ? load(d->a, (j0 + j) * d->in + k, type)
                       : loadEnd(d->a, (j0 + j) * d->in + k, left, type);
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) {
      const float *x = d->x + (t0 + t) * d->in;
      const Lanes value = k < whole ? loadFloat(x + k) : loadEnd(x, k, left, float32);
#pragma GCC unroll 8
      for (size_t j = 0; j < ranks; j++) sums[t][j] = fused(value, a[j], sums[t][j]);
    }
  }
  for (size_t t = 0; t < tokens; t++)
    for (size_t j = 0; j < ranks; j++) {
      const float scale = d->scales == NULL ? d->scale : d->scales[j0 + j] * d->scale;
      d->low[(t0 + t) * d->rank + j0 + j] = sum(sums[t][j]) * scale;
    }
}

INLINE void downOf(const Down *d, int type) {
  size_t t = 0;
  for (; t + TOKENS <= d->tokens; t += TOKENS) {
    size_t j = d->first;
    for (; j + RANKS <= d->end; j += RANKS) downTile(d, t, j, TOKENS, RANKS, type);
    for (; j < d->end; j++) downTile(d, t, j, TOKENS, 1, type);
  }
  for (; t < d->tokens; t++) {
    size_t j = d->first;
    for (; j + 4 <= d->end; j += 4) downTile(d, t, j, 1, 4, type);
    for (; j < d->end; j++) downTile(d, t, j, 1, 1, type);
  }
}

static void down(const Down *d) {
  switch (d->type) {
    case float16: downOf(d, float16); break;
    case bfloat16: downOf(d, bfloat16); break;
    case int8: downOf(d, int8); break;
    default: downOf(d, float32);
  }
}

/* Ranks whose products are added up before they come to y: as many rows of B are read at a time. */
#define BLOCK 8
/* Sums that grow side by side, so that none waits for the one before: of as many tokens, or of one and as many pieces of columns. */
enum { ABREAST = 4 };

/* y[t][n..] += low[t] . b[..][n..] over some ranks, for a tile of tokens and pieces of sixteen columns, `count` of which there are. */
INLINE void upTile(const Up *u, size_t t0, size_t n, size_t count, size_t j0, size_t tokens, size_t wide, size_t ranks, int type) {
  Lanes total[ABREAST][ABREAST];
#pragma GCC unroll 8
  for (size_t t = 0; t < tokens; t++)
#pragma GCC unroll 8
    for (size_t c = 0; c < wide; c++) total[t][c] = everywhere(0);
#pragma GCC unroll 8
  for (size_t j = 0; j < ranks; j++)
#pragma GCC unroll 8
    for (size_t c = 0; c < wide; c++) {
      const size_t at = (j0 + j) * u->out + n + 16 * c;
      const Lanes b = count == 16 ? load(u->b, at, type) : loadEnd(u->b, at, count, type);
#pragma GCC unroll 8
      for (size_t t = 0; t < tokens; t++)
        total[t][c] = fused(everywhere(u->low[(t0 + t) * u->rank + j0 + j]), b, total[t][c]);
    }
#pragma GCC unroll 8
  for (size_t c = 0; c < wide; c++) {
    const size_t at = n + 16 * c;
    Lanes scales = everywhere(0);
    if (type == int8) scales = count == 16 ? loadFloat(u->scales + at) : loadEnd(u->scales, at, count, float32);
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) {
      float *y = u->y + (t0 + t) * u->stride + (at - u->shift);
      Lanes value = count == 16 ? loadFloat(y) : loadEnd(y, 0, count, float32);
      if (type == int8) value = fused(total[t][c], scales, value);
      else value = plus(value, total[t][c]);
      /* Of a known length it is a store, and no call. */
      if (count == 16) memcpy(y, &value, sizeof value);
      else memcpy(y, &value, count * sizeof *y);
    }
  }
}

INLINE void upRow(const Up *u, size_t t, size_t n, size_t count, size_t j, size_t tokens, size_t wide, int type) {
  const size_t left = u->rank - j;
  if (left >= BLOCK) upTile(u, t, n, count, j, tokens, wide, BLOCK, type);
  else {
    /* A block that is not whole has the same order: one rank after the other. */
    if (left & 4) upTile(u, t, n, count, j, tokens, wide, 4, type);
    if (left & 2) upTile(u, t, n, count, j + (left & 4), tokens, wide, 2, type);
    if (left & 1) upTile(u, t, n, count, j + (left & 6), tokens, wide, 1, type);
  }
}

INLINE void upOf(const Up *u, int type) {
  for (size_t j = 0; j < u->rank; j += BLOCK) {
    size_t n = u->first;
    if (u->tokens < ABREAST)
      for (; n + 16 * ABREAST <= u->end; n += 16 * ABREAST)
        for (size_t t = 0; t < u->tokens; t++) upRow(u, t, n, 16, j, 1, ABREAST, type);
    for (; n < u->end; n += 16) {
      const size_t count = u->end - n < 16 ? u->end - n : 16;
      size_t t = 0;
      for (; t + ABREAST <= u->tokens; t += ABREAST) upRow(u, t, n, count, j, ABREAST, 1, type);
      for (; t < u->tokens; t++) upRow(u, t, n, count, j, 1, 1, type);
    }
  }
}

static void up(const Up *u) {
  switch (u->type) {
    case float16: upOf(u, float16); break;
    case bfloat16: upOf(u, bfloat16); break;
    case int8: upOf(u, int8); break;
    default: upOf(u, float32);
  }
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

void JOIN(attend, LEVEL)(const Attend *);

const Halves JOIN(halves, LEVEL) = {TEXT(LEVEL), down, up, JOIN(attend, LEVEL)};
