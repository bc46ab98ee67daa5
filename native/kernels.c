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

/*
 * Sixteen numbers, in the registers that there are: a vector of the compiler's that is wider than those is taken through memory. Every
 * level adds them up in the same order.
 */
#if defined(LEVEL_AVX2)
typedef struct { __m256 part[2]; } Lanes;
#define EACH for (int i = 0; i < 2; i++)

INLINE Lanes loadFloat(const float *from) {
  Lanes v;
  EACH v.part[i] = _mm256_loadu_ps(from + 8 * i);
  return v;
}
INLINE Lanes loadHalf(const uint16_t *from) {
  Lanes v;
  EACH v.part[i] = _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + 8 * i)));
  return v;
}
INLINE Lanes loadBrain(const uint16_t *from) {
  Lanes v;
  EACH v.part[i] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(from + 8 * i))), 16));
  return v;
}
INLINE Lanes loadInt8(const int8_t *from) {
  Lanes v;
  EACH v.part[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(from + 8 * i))));
  return v;
}
INLINE Lanes everywhere(float value) {
  Lanes v;
  EACH v.part[i] = _mm256_set1_ps(value);
  return v;
}
/*
 * a * b + c with one rounding. Said of each such sum: a compiler that may fuse on its own does so in some places and not in others,
 * and a token would depend on its tile.
 */
INLINE Lanes fused(Lanes a, Lanes b, Lanes c) {
  EACH c.part[i] = _mm256_fmadd_ps(a.part[i], b.part[i], c.part[i]);
  return c;
}
INLINE Lanes plus(Lanes a, Lanes b) {
  EACH a.part[i] = _mm256_add_ps(a.part[i], b.part[i]);
  return a;
}
INLINE float sum(Lanes v) {
  const __m256 eight = _mm256_add_ps(v.part[0], v.part[1]);
  float four[4];
  _mm_storeu_ps(four, _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1)));
  return (four[0] + four[2]) + (four[1] + four[3]);
}
#elif defined(LEVEL_NEON)
typedef struct { float32x4_t part[4]; } Lanes;
#define EACH for (int i = 0; i < 4; i++)

INLINE Lanes loadFloat(const float *from) {
  Lanes v;
  EACH v.part[i] = vld1q_f32(from + 4 * i);
  return v;
}
INLINE Lanes loadHalf(const uint16_t *from) {
  Lanes v;
  EACH v.part[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * i)));
  return v;
}
INLINE Lanes loadBrain(const uint16_t *from) {
  Lanes v;
  EACH v.part[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from + 4 * i), 16));
  return v;
}
INLINE Lanes loadInt8(const int8_t *from) {
  Lanes v;
  EACH {
    const int16x8_t eight = vmovl_s8(vld1_s8(from + 8 * (i / 2)));
    v.part[i] = vcvtq_f32_s32(vmovl_s16(i % 2 == 0 ? vget_low_s16(eight) : vget_high_s16(eight)));
  }
  return v;
}
INLINE Lanes everywhere(float value) {
  Lanes v;
  EACH v.part[i] = vdupq_n_f32(value);
  return v;
}
INLINE Lanes fused(Lanes a, Lanes b, Lanes c) {
  EACH c.part[i] = vfmaq_f32(c.part[i], a.part[i], b.part[i]);
  return c;
}
INLINE Lanes plus(Lanes a, Lanes b) {
  EACH a.part[i] = vaddq_f32(a.part[i], b.part[i]);
  return a;
}
INLINE float sum(Lanes v) {
  float four[4];
  vst1q_f32(four, vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3])));
  return (four[0] + four[2]) + (four[1] + four[3]);
}
#else
typedef v16 Lanes;

INLINE Lanes loadFloat(const float *from) {
  Lanes v;
  memcpy(&v, from, sizeof v);
  return v;
}
INLINE Lanes loadHalf(const uint16_t *from) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)from));
#else
  Lanes v;
  for (int i = 0; i < 16; i++) v[i] = floatOfHalf(from[i]);
  return v;
#endif
}
INLINE Lanes loadBrain(const uint16_t *from) {
  v16s values;
  memcpy(&values, from, sizeof values);
  return (v16)(__builtin_convertvector(values, v16u) << 16);
}
INLINE Lanes loadInt8(const int8_t *from) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)from)));
#else
  Lanes v;
  for (int i = 0; i < 16; i++) v[i] = from[i];
  return v;
#endif
}
INLINE Lanes everywhere(float value) {
  return value * (v16){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
}
/* The plain level rounds the product, too. */
INLINE Lanes fused(Lanes a, Lanes b, Lanes c) {
#if defined(LEVEL_AVX512)
  return (v16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  return a * b + c;
#endif
}
INLINE Lanes plus(Lanes a, Lanes b) { return a + b; }
INLINE float sum(Lanes v) {
  const v8 eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                   __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const v4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
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

const Halves JOIN(halves, LEVEL) = {TEXT(LEVEL), down, up};
