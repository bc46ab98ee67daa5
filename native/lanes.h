/*
 * Sixteen numbers for one instruction set: LEVEL, with the flags of build-operator.ts. Every level adds them up in the same order.
 */
#pragma once
#include "halves.h"

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
#include <immintrin.h>
#elif defined(LEVEL_NEON)
#include <arm_neon.h>
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
