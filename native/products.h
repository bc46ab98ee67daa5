/* What products with weights of 4 or 8 bits take: y = x W, of W packed for sixteen columns at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { blockValues = 32, groupColumns = 16, tileTokens = 8 };

/*
 * For each group of sixteen columns block by block, so that memory is read from one end to the other: the values; a scale for each
 * column, float32; as many zero points, a byte each. A group ends at a multiple of 64 bytes. The values of a block are 4 (of 8 bits 8)
 * vectors of 64 bytes: four values of each column, and of 4 bits the four after them in the upper halves of the bytes.
 */
static inline size_t valueBytes(size_t bits) { return blockValues * groupColumns * bits / 8; }
static inline size_t blockBytes(size_t bits) { return valueBytes(bits) + groupColumns * 5; }
static inline size_t groupBytes(size_t blocks, size_t bits) { return (blocks * blockBytes(bits) + 63) / 64 * 64; }

/*
 * Tokens in 8 bits. Of up to eight of them side by side, block by block: 32 values of each token; a scale; and minus the sum of the
 * values.
 */
typedef struct {
  int8_t *values;
  float *scales;
  int32_t *sums;
} Rounded;

typedef struct {
  Rounded x;
  const uint8_t *weights;
  float *y; /* [tokens, columns] */
  size_t tokens, blocks, columns, bits;
  size_t first, end; /* the groups to compute */
} Product;

typedef struct {
  const char *name;
  /* `tokens` of `in` values, a tile. */
  void (*round)(const float *x, size_t tokens, size_t in, const Rounded *to);
  void (*product)(const Product *);
} Products;

/* All that this processor can run, the best one at 0; NULL behind the last one. They read the same weights and give the same bits. */
const Products *productsHere(size_t at);

/* Weights as MatMulNBits has them. `zeros`: NULL where there are none. `block`: values of a scale, a multiple of `blockValues`. */
typedef struct {
  const uint8_t *values, *zeros;
  const float *scales;
  size_t in, columns, bits, block;
} Stored;

size_t packedBytes(size_t in, size_t columns, size_t bits);
void pack(const Stored *from, uint8_t *to);
