/*
 * Products with weights of 4 or 8 bits, for AVX-512 with VNNI. Tokens are rounded to 8 bits in the blocks of the weights; sums of a block
 * are whole numbers, and blocks are added up one after the other: a token has the same result, bit for bit, in whatever tile and
 * beside whatever others it is computed.
 */
#include <immintrin.h>
#include <math.h>
#include "products.h"

/* The rest is level 4 of x86-64. */
#define VNNI __attribute__((target("avx512vnni")))
/* Bytes of weights that are asked for before they are used. */
enum { ahead = 2048 };
#define INLINE static inline __attribute__((always_inline)) VNNI

/* 32 values at most; what is not there is 0. */
INLINE void roundBlock(const float *x, size_t count, int8_t *values, float *scale, int32_t *sum) {
  const __mmask16 low = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
  const __mmask16 high = count >= 32 ? 0xffff : count <= 16 ? 0 : (__mmask16)((1u << (count - 16)) - 1);
  const __m512 a = _mm512_maskz_loadu_ps(low, x), b = _mm512_maskz_loadu_ps(high, x + 16);
  const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  /* A maximum forgets what is no number. */
  *scale = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) != 0 ? NAN : most / 127;
  /* What is as small as that has no inverse, and counts as 0. */
  const __m512 inverse = _mm512_set1_ps(most < 1e-36f ? 0 : 127 / most);
  const __m512i p = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)), q = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  _mm_storeu_si128((void *)values, _mm512_cvtsepi32_epi8(p));
  _mm_storeu_si128((void *)(values + 16), _mm512_cvtsepi32_epi8(q));
  /* Of what was stored, which is what is multiplied. */
  const __m512i stored = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)values));
  *sum = -_mm512_reduce_add_epi32(_mm512_madd_epi16(stored, _mm512_set1_epi16(1)));
}

VNNI static void roundTile(const float *x, size_t tokens, size_t in, const Rounded *to) {
  for (size_t t = 0; t < tokens; t++)
    for (size_t k = 0, at = t; k < in; k += blockValues, at += tokens)
      roundBlock(x + t * in + k, in - k, to->values + at * blockValues, to->scales + at, to->sums + at);
}

INLINE void unpack(const uint8_t *values, size_t bits, __m512i *w) {
  const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 8
  for (size_t i = 0; i < bits; i++) {
    const __m512i v = _mm512_loadu_si512(values + 64 * i);
    if (bits == 8) w[i] = v;
    else {
      w[2 * i] = _mm512_and_si512(v, low);
      w[2 * i + 1] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
    }
  }
}

INLINE __m512i four(const int8_t *values) {
  int32_t all;
  __builtin_memcpy(&all, values, 4);
  return _mm512_set1_epi32(all);
}

/* A tile of tokens and a group of columns. */
INLINE void tile(const Product *p, const Rounded *x, const uint8_t *group, float *y, size_t left, size_t tokens, size_t bits) {
  const size_t blocks = p->blocks, size = valueBytes(bits);
  const int8_t *values = x->values;
  const float *own = x->scales;
  const int32_t *sums = x->sums;
  __m512 total[tileTokens];
#pragma GCC unroll 8
  for (size_t t = 0; t < tokens; t++) total[t] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++) {
    __m512i w[8];
#pragma GCC unroll 16
    for (size_t at = 0; at < blockBytes(bits); at += 64) _mm_prefetch((const char *)group + ahead + at, _MM_HINT_T0);
    unpack(group, bits, w);
    const __m512 scale = _mm512_loadu_ps(group + size);
    const __m512i zero = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(group + size + groupColumns * 4)));
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) {
      /* The zero points first: a zero point and minus the sum fit 16 bits each. */
      __m512i sum = _mm512_dpwssd_epi32(_mm512_setzero_si512(), zero, _mm512_set1_epi32(sums[t]));
#pragma GCC unroll 8
      for (size_t i = 0; i < 8; i++) sum = _mm512_dpbusd_epi32(sum, w[i], four(values + t * blockValues + 4 * i));
      total[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(own[t])), total[t]);
    }
    group += blockBytes(bits);
    values += tokens * blockValues, own += tokens, sums += tokens;
  }
  const __mmask16 there = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
#pragma GCC unroll 8
  for (size_t t = 0; t < tokens; t++) _mm512_mask_storeu_ps(y + t * p->columns, there, total[t]);
}

INLINE void productOf(const Product *p, size_t bits) {
  const size_t bytes = groupBytes(p->blocks, bits);
  for (size_t g = p->first; g < p->end; g++) {
    const uint8_t *group = p->weights + g * bytes;
    const size_t left = p->columns - g * groupColumns;
    for (size_t t = 0; t < p->tokens; t += tileTokens) {
      const Rounded x = {p->x.values + t * p->blocks * blockValues, p->x.scales + t * p->blocks, p->x.sums + t * p->blocks};
      float *y = p->y + t * p->columns + g * groupColumns;
      switch (p->tokens - t) {
        case 1: tile(p, &x, group, y, left, 1, bits); break;
        case 2: tile(p, &x, group, y, left, 2, bits); break;
        case 3: tile(p, &x, group, y, left, 3, bits); break;
        case 4: tile(p, &x, group, y, left, 4, bits); break;
        case 5: tile(p, &x, group, y, left, 5, bits); break;
        case 6: tile(p, &x, group, y, left, 6, bits); break;
        case 7: tile(p, &x, group, y, left, 7, bits); break;
        default: tile(p, &x, group, y, left, 8, bits);
      }
    }
  }
}

VNNI static void product(const Product *p) {
  if (p->bits == 4) productOf(p, 4);
  else productOf(p, 8);
}

const Products products_vnni = {"vnni", roundTile, product};
