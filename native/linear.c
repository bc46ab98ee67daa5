/*
 * The operator adaptlet.MatMulNBits: what com.microsoft.MatMulNBits computes with accuracy level 4, of weights that were packed for it
 * once (`AdaptletPack`).
 *
 *   inputs      x [..., K] float32; packed weights, uint8
 *   outputs     y [..., N] float32
 *   attributes  K, N, bits
 */
#include <stdlib.h>
#include <string.h>
#include "operators.h"
#include "products.h"

typedef struct {
  Api api;
  const Products *products;
  size_t in, columns, bits, blocks, groups;
} Kernel;

/* Products below which handing tasks to threads costs more than it saves. */
enum { worthwhile = 1 << 16 };
/* Bytes of weights that one task reads at least, times tiles of tokens. */
enum { taskBytes = 32 << 10 };
/* Of few tokens: what is rounded of them is on the stack. */
enum { fewBytes = 24 << 10 };
enum { maxDims = 8 };

typedef struct {
  const Kernel *kernel;
  const float *x;
  size_t each; /* groups of a task */
  Product product;
} Step;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t all, size_t each) { return (all + each - 1) / each; }

static void roundTask(void *data, size_t number) {
  const Step *s = data;
  const Kernel *k = s->kernel;
  const size_t first = number * tileTokens, at = first * k->blocks;
  const Rounded to = {s->product.x.values + at * blockValues, s->product.x.scales + at, s->product.x.sums + at};
  k->products->round(s->x + first * k->in, least(tileTokens, s->product.tokens - first), k->in, &to);
}

static void productTask(void *data, size_t number) {
  const Step *s = data;
  Product p = s->product;
  p.first = number * s->each, p.end = least(p.first + s->each, s->kernel->groups);
  s->kernel->products->product(&p);
}

static Status refuse(Api api, const char *why) { return createStatus(api, invalidArgument, why); }

static Status shapeOfInput(const Kernel *k, const void *value, int64_t *dims, size_t *count) {
  void *info = NULL;
  TRY(shapeOf(k->api, value, &info));
  Status status = dimensionCount(k->api, info, count);
  if (status == NULL && (*count == 0 || *count > maxDims)) status = refuse(k->api, "adaptlet.MatMulNBits: x has no dimensions, or too many");
  if (status == NULL) status = dimensionsOf(k->api, info, dims, *count);
  releaseShape(k->api, info);
  return status;
}

static Status compute(void *kernel, void *context) {
  const Kernel *k = kernel;
  const void *x, *packed;
  int64_t dims[maxDims], size[maxDims];
  size_t count, sizes, tokens = 1;
  TRY(inputAt(k->api, context, 0, &x));
  TRY(inputAt(k->api, context, 1, &packed));
  TRY(shapeOfInput(k, x, dims, &count));
  TRY(shapeOfInput(k, packed, size, &sizes));
  if (dims[count - 1] != (int64_t)k->in) return refuse(k->api, "adaptlet.MatMulNBits: x has another number of features");
  if (sizes != 1 || size[0] != (int64_t)(k->groups * groupBytes(k->blocks, k->bits)))
    return refuse(k->api, "adaptlet.MatMulNBits: the weights are not packed for this node");
  for (size_t i = 0; i + 1 < count; i++) tokens *= (size_t)dims[i];
  dims[count - 1] = (int64_t)k->columns;
  void *y;
  TRY(outputAt(k->api, context, 0, dims, count, &y));
  if (tokens == 0) return NULL;
  void *weights, *values, *results;
  TRY(dataOf(k->api, (void *)x, &values));
  TRY(dataOf(k->api, (void *)packed, &weights));
  TRY(dataOf(k->api, y, &results));
  const size_t all = tokens * k->blocks, bytes = all * (blockValues + sizeof(float) + sizeof(int32_t));
  char few[fewBytes] __attribute__((aligned(64)));
  char *room = bytes <= fewBytes ? few : malloc(bytes);
  if (room == NULL) return createStatus(k->api, fail, "adaptlet.MatMulNBits: out of memory");
  Step s = {
      .kernel = k,
      .x = values,
      .product =
          {
              .x = {(int8_t *)room, (float *)(room + all * blockValues), (int32_t *)(room + all * (blockValues + 4))},
              .weights = weights,
              .y = results,
              .tokens = tokens,
              .blocks = k->blocks,
              .columns = k->columns,
              .bits = k->bits,
              .first = 0,
              .end = k->groups,
          },
  };
  const size_t tiles = pieces(tokens, tileTokens);
  Status status = NULL;
  if (tiles < 4) {
    for (size_t i = 0; i < tiles; i++) roundTask(&s, i);
  } else status = parallelFor(k->api, context, roundTask, tiles, &s);
  if (status == NULL) {
    if (tokens * k->in * k->columns < worthwhile) k->products->product(&s.product);
    else {
      s.each = pieces(taskBytes, groupBytes(k->blocks, k->bits) * tiles);
      status = parallelFor(k->api, context, productTask, pieces(k->groups, s.each), &s);
    }
  }
  if (room != few) free(room);
  return status;
}

static Status integer(Api api, const void *info, const char *name, size_t least, size_t most, size_t *out) {
  int64_t value = 0;
  TRY(integerOf(api, info, name, &value));
  if (value < (int64_t)least || value > (int64_t)most) return refuse(api, "adaptlet.MatMulNBits: an attribute has a value that is not supported");
  *out = (size_t)value;
  return NULL;
}

static Status createKernel(const struct CustomOp *op, Api api, const void *info, void **kernel) {
  (void)op;
  Kernel own = {.api = api, .products = productsHere()};
  if (own.products == NULL) return refuse(api, "adaptlet.MatMulNBits: not for this processor");
  TRY(integer(api, info, "K", 1, 1 << 24, &own.in));
  TRY(integer(api, info, "N", 1, 1 << 24, &own.columns));
  TRY(integer(api, info, "bits", 4, 8, &own.bits));
  if (own.bits != 4 && own.bits != 8) return refuse(api, "adaptlet.MatMulNBits: neither 4 nor 8 bits");
  own.blocks = (own.in + blockValues - 1) / blockValues;
  own.groups = (own.columns + groupColumns - 1) / groupColumns;
  Kernel *k = malloc(sizeof *k);
  if (k == NULL) return createStatus(api, fail, "adaptlet.MatMulNBits: out of memory");
  *k = own;
  *kernel = k;
  return NULL;
}

static void destroyKernel(void *kernel) { free(kernel); }
static const char *name(const struct CustomOp *op) { (void)op; return "MatMulNBits"; }
static int inputType(const struct CustomOp *op, size_t index) { (void)op; return index == 0 ? typeFloat : typeUint8; }
static int outputType(const struct CustomOp *op, size_t index) { (void)op; (void)index; return typeFloat; }
static size_t two(const struct CustomOp *op) { (void)op; return 2; }
static size_t single(const struct CustomOp *op) { (void)op; return 1; }
static int always(const struct CustomOp *op, size_t index) { (void)op; (void)index; return required; }

const struct CustomOp linearOperator = {
    .version = apiVersion,
    .getName = name,
    .getProvider = provider,
    .getInputType = inputType,
    .getInputTypeCount = two,
    .getOutputType = outputType,
    .getOutputTypeCount = single,
    .destroyKernel = destroyKernel,
    .getInputCharacteristic = always,
    .getOutputCharacteristic = always,
    .getInputMemoryType = defaultMemory,
    .getVariadicInputMinArity = one,
    .getVariadicInputHomogeneity = one,
    .getVariadicOutputMinArity = one,
    .getVariadicOutputHomogeneity = one,
    .createKernelV2 = createKernel,
    .computeV2 = compute,
    .getStartVersion = one,
    .getEndVersion = one,
};
