/*
 * The two halves of LoRA for one instruction set: LEVEL, with the flags of native/build.ts. TOKENS and RANKS are the tile that fits
 * its registers. Sixteen lanes everywhere, each sum in an order that depends on nothing but the features and the rank: a token has
 * the same result, bit for bit, in whatever tile and beside whatever others it is computed. Levels with fused multiply-add agree
 * bit for bit; the plain one rounds products, too.
 */
#include "halves.h"

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
#include <immintrin.h>
#elif defined(LEVEL_NEON)
#include <arm_neon.h>
#endif

#if defined(LEVEL_AVX512)
enum { TOKENS = 4, RANKS = 4 };
#else
enum { TOKENS = 2, RANKS = 2 };
#endif

#define INLINE static inline __attribute__((always_inline))

#if !defined(LEVEL_AVX512) && !defined(LEVEL_AVX2) && !defined(LEVEL_NEON)
static inline float floatOfHalf(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  union { uint32_t bits; float value; } all;
  if (magnitude >= 0x7c00) all.bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
  else {
    /* The exponent is moved by a product, which is right for subnormal numbers, too. */
    all.bits = magnitude << 13;
    all.value *= 0x1p112f;
    all.bits |= sign;
  }
  return all.value;
}
#endif

INLINE v16 loadFloat(const float *from) {
  v16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

INLINE v16 loadHalf(const uint16_t *from) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)from));
#elif defined(LEVEL_AVX2)
  union { v16 all; __m256 half[2]; } value;
  value.half[0] = _mm256_cvtph_ps(_mm_loadu_si128((const void *)from));
  value.half[1] = _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + 8)));
  return value.all;
#elif defined(LEVEL_NEON)
  union { v16 all; float32x4_t quarter[4]; } value;
  for (int i = 0; i < 4; i++) value.quarter[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * i)));
  return value.all;
#else
  v16 value;
  for (int i = 0; i < 16; i++) value[i] = floatOfHalf(from[i]);
  return value;
#endif
}

INLINE v16 loadBrain(const uint16_t *from) {
  v16u bits;
  v16s values;
  memcpy(&values, from, sizeof values);
  bits = __builtin_convertvector(values, v16u) << 16;
  return (v16)bits;
}

INLINE v16 loadInt8(const int8_t *from) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from)));
#elif defined(LEVEL_AVX2)
  union { v16 all; __m256 half[2]; } value;
  value.half[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)from)));
  value.half[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(from + 8))));
  return value.all;
#else
  v16 value;
  for (int i = 0; i < 16; i++) value[i] = from[i];
  return value;
#endif
}

INLINE v16 load(const void *from, size_t at, int type) {
  switch (type) {
    case float16: return loadHalf((const uint16_t *)from + at);
    case bfloat16: return loadBrain((const uint16_t *)from + at);
    case int8: return loadInt8((const int8_t *)from + at);
    default: return loadFloat((const float *)from + at);
  }
}

/* The last values of a row, and zeros. */
INLINE v16 loadEnd(const void *from, size_t at, size_t count, int type) {
  uint32_t room[16] = {0};
  size_t size = sizeOf(type);
  memcpy(room, (const char *)from + at * size, count * size);
  return load(room, 0, type);
}

/*
 * a * b + c with one rounding, but for the plain level. Said of each such sum: a compiler that may fuse on its own does so in some
 * places and not in others (Clang and GCC within a basic block alone), and a token would depend on its tile.
 */
INLINE v16 fused(v16 a, v16 b, v16 c) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(LEVEL_AVX2)
  union { v16 all; __m256 half[2]; } x = {a}, y = {b}, z = {c};
  for (int i = 0; i < 2; i++) z.half[i] = _mm256_fmadd_ps(x.half[i], y.half[i], z.half[i]);
  return z.all;
#elif defined(LEVEL_NEON)
  union { v16 all; float32x4_t quarter[4]; } x = {a}, y = {b}, z = {c};
  for (int i = 0; i < 4; i++) z.quarter[i] = vfmaq_f32(z.quarter[i], x.quarter[i], y.quarter[i]);
  return z.all;
#else
  return a * b + c;
#endif
}

INLINE v16 everywhere(float value) {
  return value * (v16){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
}

INLINE float sum(v16 value) {
  v8 eight = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7) +
             __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
  v4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

/* low[t][j] = x[t] . a[j], for a tile of tokens and ranks. */
INLINE void downTile(const Down *d, size_t t0, size_t j0, size_t tokens, size_t ranks, int type) {
  v16 sums[4][4];
  const size_t whole = d->in & ~(size_t)15;
  for (size_t t = 0; t < tokens; t++)
    for (size_t j = 0; j < ranks; j++) sums[t][j] = (v16){0};
  for (size_t k = 0; k < d->in; k += 16) {
    v16 a[4];
    const size_t left = d->in - k;
#pragma GCC unroll 8
    for (size_t j = 0; j < ranks; j++)
      a[j] = k < whole ? load(d->a, (j0 + j) * d->in + k, type)
                       : loadEnd(d->a, (j0 + j) * d->in + k, left, type);
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) {
      const float *x = d->x + (t0 + t) * d->in;
      const v16 value = k < whole ? loadFloat(x + k) : loadEnd(x, k, left, float32);
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

/* y[t][n..] += low[t] . b[..][n..] over some ranks, for a tile of tokens and sixteen columns, `count` of which there are. */
INLINE void upTile(const Up *u, size_t t0, size_t n, size_t count, size_t j0, size_t tokens, size_t ranks, int type) {
  v16 b[BLOCK];
#pragma GCC unroll 8
  for (size_t j = 0; j < ranks; j++) {
    const size_t at = (j0 + j) * u->out + n;
    b[j] = count == 16 ? load(u->b, at, type) : loadEnd(u->b, at, count, type);
  }
  v16 scales = {0};
  if (type == int8) scales = count == 16 ? loadFloat(u->scales + n) : loadEnd(u->scales, n, count, float32);
#pragma GCC unroll 8
  for (size_t t = 0; t < tokens; t++) {
    const float *low = u->low + (t0 + t) * u->rank + j0;
    float *y = u->y + (t0 + t) * u->stride + (n - u->shift);
    v16 sum = {0};
#pragma GCC unroll 8
    for (size_t j = 0; j < ranks; j++) sum = fused(everywhere(low[j]), b[j], sum);
    v16 value = count == 16 ? loadFloat(y) : loadEnd(y, 0, count, float32);
    if (type == int8) value = fused(sum, scales, value);
    else value += sum;
    /* Of a known length it is a store, and no call. */
    if (count == 16) memcpy(y, &value, sizeof value);
    else memcpy(y, &value, count * sizeof *y);
  }
}

INLINE void upRow(const Up *u, size_t t, size_t n, size_t count, size_t j, size_t tokens, int type) {
  const size_t left = u->rank - j;
  if (left >= BLOCK) upTile(u, t, n, count, j, tokens, BLOCK, type);
  else {
    /* A block that is not whole has the same order: one rank after the other. */
    if (left & 4) upTile(u, t, n, count, j, tokens, 4, type);
    if (left & 2) upTile(u, t, n, count, j + (left & 4), tokens, 2, type);
    if (left & 1) upTile(u, t, n, count, j + (left & 6), tokens, 1, type);
  }
}

INLINE void upOf(const Up *u, int type) {
  for (size_t j = 0; j < u->rank; j += BLOCK) {
    for (size_t n = u->first; n < u->end; n += 16) {
      const size_t count = u->end - n < 16 ? u->end - n : 16;
      size_t t = 0;
      for (; t + 4 <= u->tokens; t += 4) upRow(u, t, n, count, j, 4, type);
      for (; t < u->tokens; t++) upRow(u, t, n, count, j, 1, type);
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

const Halves JOIN(halves, LEVEL) = {TEXT(LEVEL), down, up};
