/*
 * Columns of weights side by side in the registers of one instruction set: LEVEL, with the flags of build-operator.ts. A register has
 * `width` columns: four values of each, a byte each, or one number of 32 bits. Sums are whole numbers that fit, so that every level has
 * the same.
 */
#pragma once
#include "products.h"

#define INLINE static inline __attribute__((always_inline))

#if defined(LEVEL_DOTPROD)
#include <arm_neon.h>
enum { width = 4 };
#else
#include <immintrin.h>
#if defined(LEVEL_VNNI)
enum { width = 16 };
typedef __m512i Register;
#define WIDE(name) _mm512_##name
#else
enum { width = 8 };
typedef __m256i Register;
#define WIDE(name) _mm256_##name
#endif
#endif

#define COLUMNS vector_size(4 * width)
typedef uint8_t Bytes __attribute__((COLUMNS));
typedef uint16_t Pairs __attribute__((COLUMNS));
typedef int32_t Ints __attribute__((COLUMNS));
typedef float Floats __attribute__((COLUMNS));
/* The same, wherever it is in memory. */
typedef uint8_t BytesAt __attribute__((COLUMNS, aligned(1), may_alias));
typedef float FloatsAt __attribute__((COLUMNS, aligned(1), may_alias));

/* Half of each byte. */
INLINE Bytes lower(Bytes v) { return v & 15; }
INLINE Bytes upper(Bytes v) { return lower((Bytes)((Pairs)v >> 4)); }

/*
 * Each level has:
 *   fused    a * b + c with one rounding
 *   eight    one of the eight registers of a block of 8 bits, as `dots` takes it
 *   zerosAt  zero points, as `dots` takes them
 *   dots     the products of a block and a token, and of zero points and `less`: minus the sum of the token's values
 */
#if defined(LEVEL_DOTPROD)
INLINE Floats fused(Floats a, Floats b, Floats c) { return (Floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }

/* There are products of signed values alone: those of 8 bits, and their zero points, are taken 128 lower. */
INLINE void eight(Bytes v, size_t at, Bytes *w) { w[at] = v ^ 128; }
INLINE Ints zerosAt(const uint8_t *zeros, size_t bits) {
  const Ints all = {zeros[0], zeros[1], zeros[2], zeros[3]};
  return bits == 8 ? all - 128 : all;
}

INLINE Ints dots(Ints zeros, int32_t less, const Bytes *w, const int8_t *x, size_t bits) {
  (void)bits;
  const int8x16_t first = vld1q_s8(x), second = vld1q_s8(x + 16);
  int32x4_t sum = (int32x4_t)(zeros * less);
#define DOT(of, from, lane) sum = vdotq_laneq_s32(sum, (int8x16_t)w[from + lane], of, lane)
  DOT(first, 0, 0), DOT(first, 0, 1), DOT(first, 0, 2), DOT(first, 0, 3);
  DOT(second, 4, 0), DOT(second, 4, 1), DOT(second, 4, 2), DOT(second, 4, 3);
#undef DOT
  return (Ints)sum;
}
#else
INLINE Floats fused(Floats a, Floats b, Floats c) { return WIDE(fmadd_ps)(a, b, c); }

INLINE Ints zerosAt(const uint8_t *zeros, size_t bits) {
  (void)bits;
#if defined(LEVEL_VNNI)
  return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)zeros));
#else
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)zeros));
#endif
}

/* Four values of a token beside each column's. */
INLINE Register four(const int8_t *values) {
  int32_t all;
  __builtin_memcpy(&all, values, sizeof all);
  return WIDE(set1_epi32)(all);
}

#if defined(LEVEL_AVX2)
/*
 * Products of bytes are added up in 16 bits, where a sum above 32,767 would be cut off. Sixteen products of 15 and 128 at most are
 * 30,720: of 4 bits that is all of a column's block, and values of 8 bits are taken in halves.
 */
INLINE void eight(Bytes v, size_t at, Bytes *w) { w[at] = lower(v), w[8 + at] = upper(v); }

INLINE Ints dots(Ints zeros, int32_t less, const Bytes *w, const int8_t *x, size_t bits) {
  /* A zero point and minus the sum fit 16 bits each. */
  Register sum = WIDE(madd_epi16)((Register)zeros, WIDE(set1_epi32)(less));
#pragma GCC unroll 2
  for (size_t half = 0; half < bits / 4; half++) {
    Register pairs = WIDE(maddubs_epi16)((Register)w[8 * half], four(x));
#pragma GCC unroll 8
    for (size_t i = 1; i < 8; i++) pairs = WIDE(add_epi16)(pairs, WIDE(maddubs_epi16)((Register)w[8 * half + i], four(x + 4 * i)));
    sum = WIDE(add_epi32)(sum, WIDE(madd_epi16)(pairs, WIDE(set1_epi16)(half == 0 ? 1 : 16)));
  }
  return (Ints)sum;
}
#else
INLINE void eight(Bytes v, size_t at, Bytes *w) { w[at] = v; }

INLINE Ints dots(Ints zeros, int32_t less, const Bytes *w, const int8_t *x, size_t bits) {
  (void)bits;
  /* As above. */
  Register sum = WIDE(dpwssd_epi32)((Register){0}, (Register)zeros, WIDE(set1_epi32)(less));
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; i++) sum = WIDE(dpbusd_epi32)(sum, (Register)w[i], four(x + 4 * i));
  return (Ints)sum;
}
#endif
#endif
