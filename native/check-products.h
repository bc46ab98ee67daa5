/* Part of check.c: products of random shapes, and what is packed for them. */
#include "products.h"

/* Of a random node of MatMulNBits: `weight` is what each value stands for. */
typedef struct {
  Stored stored;
  uint8_t *packed;
  double *weight; /* [columns, in] */
} Node;

static Node nodeOf(size_t in, size_t columns, size_t bits, size_t wide, int zeros, int largest) {
  const size_t blocks = (in + wide - 1) / wide, own = wide * bits / 8, zerosOwn = (blocks * bits + 7) / 8;
  uint8_t *values = malloc(columns * blocks * own), *points = zeros ? malloc(columns * zerosOwn) : NULL;
  float *scales = malloc(columns * blocks * sizeof(float));
  double *weight = malloc(columns * in * sizeof(double));
  for (size_t i = 0; i < columns * blocks * own; i++) values[i] = largest ? 255 : (uint8_t)next();
  for (size_t i = 0; zeros && i < columns * zerosOwn; i++) points[i] = (uint8_t)next();
  for (size_t i = 0; i < columns * blocks; i++) scales[i] = number() / 8;
  for (size_t c = 0; c < columns; c++)
    for (size_t k = 0; k < in; k++) {
      const size_t b = k / wide;
      const uint8_t *block = values + (c * blocks + b) * own, *point = zeros ? points + c * zerosOwn : NULL;
      const int value = bits == 8 ? block[k % wide] : block[k % wide / 2] >> k % 2 * 4 & 15;
      const int zero = !zeros ? 1 << (bits - 1) : bits == 8 ? point[b] : point[b / 2] >> b % 2 * 4 & 15;
      weight[c * in + k] = (double)(value - zero) * scales[c * blocks + b];
    }
  Node node = {{values, points, scales, in, columns, bits, wide}, malloc(packedBytes(in, columns, bits)), weight};
  pack(&node.stored, node.packed);
  return node;
}

static Rounded roundedOf(size_t tokens, size_t blocks) {
  return (Rounded){malloc(tokens * blocks * blockValues), malloc(tokens * blocks * sizeof(float)), malloc(tokens * blocks * sizeof(int32_t))};
}

static void roundAll(const Products *p, const float *x, size_t tokens, size_t in, const Rounded *to) {
  const size_t blocks = (in + blockValues - 1) / blockValues;
  for (size_t t = 0; t < tokens; t += tileTokens) {
    const size_t at = t * blocks, some = tokens - t < tileTokens ? tokens - t : tileTokens;
    const Rounded tile = {to->values + at * blockValues, to->scales + at, to->sums + at};
    p->round(x + t * in, some, in, &tile);
  }
}

static void freeRounded(Rounded *r) { free(r->values), free(r->scales), free(r->sums); }

/* Rounded values are near what they were, and products those of rounded values. Answers the products, [tokens, columns]. */
static float *checkedProduct(const Products *p, const Node *node, const float *x, size_t tokens, uint64_t seed) {
  const size_t in = node->stored.in, columns = node->stored.columns, bits = node->stored.bits;
  const size_t blocks = (in + blockValues - 1) / blockValues, groups = (columns + groupColumns - 1) / groupColumns;
  float *y = malloc(tokens * columns * sizeof(float)), *alone = malloc(columns * sizeof(float)), *broken = malloc(in * sizeof(float));
  Rounded rounded = roundedOf(tokens, blocks), own = roundedOf(1, blocks);
  roundAll(p, x, tokens, in, &rounded);
  Product all = {.x = rounded, .weights = node->packed, .y = y, .tokens = tokens, .blocks = blocks, .columns = columns, .bits = bits, .first = 0, .end = groups};
  p->product(&all);
  for (size_t t = 0; t < tokens; t++) {
    roundAll(p, x + t * in, 1, in, &own);
    for (size_t c = 0; c < columns; c++) {
      double want = 0, sum = 0;
      for (size_t k = 0; k < in; k++) {
        const double scale = own.scales[k / blockValues], value = own.values[k] * scale, w = node->weight[c * in + k];
        if (!(fabs(value - x[t * in + k]) <= scale * 0.5001 + 1e-36)) fail("a value is not rounded to the nearest", seed);
        want += value * w;
        sum += fabs(value * w);
      }
      if (!(fabs(y[t * columns + c] - want) <= 1e-5 * sum + 1e-30)) {
        printf("%s: %g in place of %g; tokens %zu, in %zu, columns %zu, bits %zu\n", p->name, y[t * columns + c], want, tokens, in, columns, bits);
        fail("another product than float64", seed);
      }
    }
    /* Alone, and its columns in two parts: the same bits. */
    const size_t middle = between(0, groups);
    Product one = all;
    one.x = own, one.y = alone, one.tokens = 1;
    one.end = middle, p->product(&one);
    one.first = middle, one.end = groups, p->product(&one);
    if (memcmp(alone, y + t * columns, columns * sizeof(float)) != 0) fail("a product beside others differs from it alone", seed);
  }
  /* What is no number stays none. */
  memcpy(broken, x, in * sizeof(float));
  broken[next() % in] = next() % 2 == 0 ? NAN : INFINITY;
  roundAll(p, broken, 1, in, &own);
  all.x = own, all.y = alone, all.tokens = 1, p->product(&all);
  for (size_t c = 0; c < columns; c++)
    if (isfinite(alone[c])) fail("a product of what is no number is one", seed);
  freeRounded(&rounded), freeRounded(&own), free(alone), free(broken);
  return y;
}

#if defined(__x86_64__)
/* The code for AVX-VNNI in instructions of AVX-512: few processors have both. */
extern const Products products_vnni256;
#endif

static const Products *checkedProducts(size_t at) {
  const Products *here = productsHere(at);
#if defined(__x86_64__)
  if (here == NULL && at > 0 && productsHere(at - 1) != NULL && strcmp(productsHere(0)->name, "vnni") == 0) return &products_vnni256;
#endif
  return here;
}

/* Of all products that were checked: the same on every processor. */
static uint64_t digest = 14695981039346656037u;

static void products(uint64_t seed) {
  state = seed * 2654435761u + 7;
  const size_t tokens = between(1, 20), in = between(1, 300), columns = between(1, 70), bits = next() % 2 == 0 ? 4 : 8;
  const size_t wide = blockValues << next() % 4;
  /* All as large as can be: no sum may be cut off. */
  const int largest = next() % 8 == 0;
  Node node = nodeOf(in, columns, bits, wide, next() % 4 != 0, largest);
  float *x = malloc(tokens * in * sizeof(float)), *first = NULL;
  const float size = next() % 4 == 0 ? 0x1p-130f : next() % 4 == 0 ? 1e30f : 1;
  for (size_t i = 0; i < tokens * in; i++) x[i] = (largest ? i / in % 2 == 0 ? 1 : -1 : next() % 64 == 0 ? 0 : number()) * size;
  for (size_t at = 0; checkedProducts(at) != NULL; at++) {
    float *y = checkedProduct(checkedProducts(at), &node, x, tokens, seed);
    if (first != NULL && memcmp(first, y, tokens * columns * sizeof(float)) != 0) fail("instruction sets differ in products", seed);
    if (first == NULL) first = y;
    else free(y);
  }
  for (size_t i = 0; first != NULL && i < tokens * columns * sizeof(float); i++) digest = (digest ^ ((uint8_t *)first)[i]) * 1099511628211u;
  free(first), free(x);
  free((void *)node.stored.values), free((void *)node.stored.zeros), free((void *)node.stored.scales), free(node.packed), free(node.weight);
}
