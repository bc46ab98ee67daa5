/*
 * Products with weights of 4 or 8 bits, for one instruction set. Tokens are rounded to 8 bits in the blocks of the weights; sums of a
 * block are whole numbers, and blocks are added up one after the other: a token has the same result, bit for bit, in whatever tile,
 * beside whatever others and by whatever instruction set it is computed.
 */
#include <string.h>
#include "columns.h"

/* Bytes of weights that are asked for before they are used. */
enum { ahead = 2048 };
enum { parts = groupColumns / width };

/* 32 values at most; what is not there is 0. Loops that compilers turn into vectors. */
INLINE void roundBlock(const float *x, size_t count, int8_t *values, float *scale, int32_t *sum) {
  union { float value[blockValues]; int32_t bits[blockValues]; } own = {0}, rounded;
  if (count >= blockValues) memcpy(own.value, x, sizeof own);
  else memcpy(own.value, x, count * sizeof *x);
  /* Sizes of floats are in the order of their bits, and what is no number is above all others. */
  union { int32_t bits; float value; } most = {0};
  for (size_t i = 0; i < blockValues; i++) {
    const int32_t size = own.bits[i] & 0x7fffffff;
    most.bits = size > most.bits ? size : most.bits;
  }
  *scale = most.value / 127;
  /* What is as small as that has no inverse, and counts as 0. */
  const float inverse = most.value < 1e-36f ? 0 : 127 / most.value;
  /* A number that leaves no bits behind the point rounds to the nearest, and has the whole number in its last bits. */
  for (size_t i = 0; i < blockValues; i++) rounded.value[i] = own.value[i] * inverse + 0x1.8p23f;
  int32_t all = 0;
  for (size_t i = 0; i < blockValues; i++) {
    values[i] = (int8_t)rounded.bits[i];
    all += (int8_t)rounded.bits[i];
  }
  *sum = -all;
}

static void roundTile(const float *x, size_t tokens, size_t in, const Rounded *to) {
  for (size_t t = 0; t < tokens; t++)
    for (size_t k = 0, at = t; k < in; k += blockValues, at += tokens)
      roundBlock(x + t * in + k, in - k, to->values + at * blockValues, to->scales + at, to->sums + at);
}

INLINE void unpack(const uint8_t *values, size_t bits, Bytes *w) {
#pragma GCC unroll 8
  for (size_t i = 0; i < bits; i++) {
    const Bytes v = *(const BytesAt *)(values + groupColumns * 4 * i);
    if (bits == 8) eight(v, i, w);
    else w[2 * i] = lower(v), w[2 * i + 1] = upper(v);
  }
}

/* A tile of tokens and a group of columns. */
INLINE void tile(const Product *p, const Rounded *x, const uint8_t *group, float *y, size_t left, size_t tokens, size_t bits) {
  const size_t blocks = p->blocks, size = valueBytes(bits);
  const int8_t *values = x->values;
  const float *own = x->scales;
  const int32_t *sums = x->sums;
  Floats total[parts][tileTokens];
#pragma GCC unroll 4
  for (size_t n = 0; n < parts; n++)
#pragma GCC unroll 8
    for (size_t t = 0; t < tokens; t++) total[n][t] = (Floats){0};
  for (size_t b = 0; b < blocks; b++) {
#pragma GCC unroll 16
    for (size_t at = 0; at < blockBytes(bits); at += 64) __builtin_prefetch(group + ahead + at);
#pragma GCC unroll 4
    for (size_t n = 0; n < parts; n++) {
      /* Compilers would keep what is loaded of the tokens for all parts, and there are not as many registers. */
      __asm__("" : "+r"(values));
      Bytes w[16];
      unpack(group + n * sizeof(Bytes), bits, w);
      const Floats scale = *(const FloatsAt *)(group + size + n * sizeof(Floats));
      const Ints zeros = zerosAt(group + size + groupColumns * 4 + n * width, bits);
#pragma GCC unroll 8
      for (size_t t = 0; t < tokens; t++) {
        const Ints sum = dots(zeros, sums[t], w, values + t * blockValues, bits);
        total[n][t] = fused(__builtin_convertvector(sum, Floats), scale * own[t], total[n][t]);
      }
    }
    group += blockBytes(bits);
    values += tokens * blockValues, own += tokens, sums += tokens;
  }
#pragma GCC unroll 8
  for (size_t t = 0; t < tokens; t++) {
    Floats all[parts];
#pragma GCC unroll 4
    for (size_t n = 0; n < parts; n++) all[n] = total[n][t];
    if (left >= groupColumns) memcpy(y + t * p->columns, all, sizeof all);
    else memcpy(y + t * p->columns, all, left * sizeof(float));
  }
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

static void product(const Product *p) {
  if (p->bits == 4) productOf(p, 4);
  else productOf(p, 8);
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

const Products JOIN(products, LEVEL) = {TEXT(LEVEL), roundTile, product};
