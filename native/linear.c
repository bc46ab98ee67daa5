/*
 * The operator adaptlet.MatMulNBits: what com.microsoft.MatMulNBits computes with accuracy level 4, for the linears that share the input
 * x, of weights that were packed for it once (`AdaptletPack`).
 *
 *   inputs      x [..., K] float32; packed weights of each linear, uint8
 *   outputs     y [..., N] of each linear, float32
 *   attributes  K; N and bits, one for each linear; level: the instruction set that multiplies
 */
#include <stdlib.h>
#include <string.h>
#include "operators.h"
#include "products.h"

typedef struct {
  size_t columns, bits, groups;
} Linear;

enum { maxLinears = 8 };

typedef struct {
  Api api;
  const Products *products;
  size_t in, blocks, linears, columns; /* of all linears */
  Linear linear[maxLinears];
} Kernel;

/* Products below which handing tasks to threads costs more than it saves. */
enum { worthwhile = 1 << 16 };
/* Bytes of weights that one task reads at least, times tiles of tokens. */
enum { taskBytes = 32 << 10 };
/* Of few tokens: what is rounded of them is on the stack. */
enum { fewBytes = 24 << 10 };

typedef struct {
  const Kernel *kernel;
  const float *x;
  struct {
    Product product;
    size_t each, tasks; /* groups of a task, and how many tasks there are */
  } part[maxLinears];
} Step;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t all, size_t each) { return (all + each - 1) / each; }

static void roundTask(void *data, size_t number) {
  const Step *s = data;
  const Kernel *k = s->kernel;
  const size_t first = number * tileTokens, at = first * k->blocks;
  const Product *p = &s->part[0].product;
  const Rounded to = {p->x.values + at * blockValues, p->x.scales + at, p->x.sums + at};
  k->products->round(s->x + first * k->in, least(tileTokens, p->tokens - first), k->in, &to);
}

static void productTask(void *data, size_t number) {
  const Step *s = data;
  size_t i = 0;
  for (; number >= s->part[i].tasks; i++) number -= s->part[i].tasks;
  Product p = s->part[i].product;
  p.first = number * s->part[i].each, p.end = least(p.first + s->part[i].each, p.end);
  s->kernel->products->product(&p);
}

static Status refuse(Api api, const char *why) { return createStatus(api, invalidArgument, why); }

/* What the linear of this place reads and writes; x comes later. */
static Status partOf(const Kernel *k, void *context, size_t i, int64_t *dims, size_t count, Product *to) {
  const Linear *l = &k->linear[i];
  const void *packed;
  int64_t size[maxDims];
  size_t sizes;
  TRY(inputAt(k->api, context, 1 + i, &packed));
  TRY(dimsOf(k->api, packed, size, &sizes));
  if (sizes != 1 || size[0] != (int64_t)(l->groups * groupBytes(k->blocks, l->bits)))
    return refuse(k->api, "adaptlet.MatMulNBits: the weights are not packed for this node");
  dims[count - 1] = (int64_t)l->columns;
  void *y, *weights, *results;
  TRY(outputAt(k->api, context, i, dims, count, &y));
  TRY(dataOf(k->api, (void *)packed, &weights));
  TRY(dataOf(k->api, y, &results));
  to->weights = weights, to->y = results;
  to->columns = l->columns, to->bits = l->bits, to->end = l->groups;
  return NULL;
}

static Status compute(void *kernel, void *context) {
  const Kernel *k = kernel;
  const void *x;
  int64_t dims[maxDims];
  size_t count, tokens = 1;
  TRY(inputAt(k->api, context, 0, &x));
  TRY(dimsOf(k->api, x, dims, &count));
  if (count == 0 || dims[count - 1] != (int64_t)k->in) return refuse(k->api, "adaptlet.MatMulNBits: x has another number of features");
  for (size_t i = 0; i + 1 < count; i++) tokens *= (size_t)dims[i];
  const size_t tiles = pieces(tokens, tileTokens);
  Step s = {.kernel = k};
  size_t tasks = 0;
  for (size_t i = 0; i < k->linears; i++) {
    Product *p = &s.part[i].product;
    *p = (Product){.tokens = tokens, .blocks = k->blocks};
    TRY(partOf(k, context, i, dims, count, p));
    if (tokens == 0) continue;
    s.part[i].each = pieces(taskBytes, groupBytes(k->blocks, p->bits) * tiles);
    s.part[i].tasks = pieces(p->end, s.part[i].each);
    tasks += s.part[i].tasks;
  }
  if (tokens == 0) return NULL;
  TRY(dataOf(k->api, (void *)x, (void **)&s.x));
  const size_t all = tokens * k->blocks, bytes = all * (blockValues + sizeof(float) + sizeof(int32_t));
  char few[fewBytes] __attribute__((aligned(64)));
  char *room = bytes <= fewBytes ? few : malloc(bytes);
  if (room == NULL) return createStatus(k->api, fail, "adaptlet.MatMulNBits: out of memory");
  for (size_t i = 0; i < k->linears; i++)
    s.part[i].product.x = (Rounded){(int8_t *)room, (float *)(room + all * blockValues), (int32_t *)(room + all * (blockValues + 4))};
  Status status = NULL;
  if (tiles < 4) {
    for (size_t i = 0; i < tiles; i++) roundTask(&s, i);
  } else status = parallelFor(k->api, context, roundTask, tiles, &s);
  if (status == NULL) {
    if (tokens * k->in * k->columns >= worthwhile) status = parallelFor(k->api, context, productTask, tasks, &s);
    else
      for (size_t i = 0; i < k->linears; i++) k->products->product(&s.part[i].product);
  }
  if (room != few) free(room);
  return status;
}

static Status unsupported(Api api) { return refuse(api, "adaptlet.MatMulNBits: an attribute has a value that is not supported"); }

/* One number for each linear. */
static Status readEach(Api api, const void *info, const char *name, int64_t *to, size_t *count) {
  *count = 0;
  TRY(integersOf(api, info, name, NULL, count));
  if (*count < 1 || *count > maxLinears) return unsupported(api);
  return integersOf(api, info, name, to, count);
}

/* The products of a level, which this processor has to have. */
static Status productsOf(Api api, const void *info, const Products **to) {
  char level[16];
  size_t size = sizeof level, at = 0;
  TRY(stringOf(api, info, "level", level, &size));
  for (*to = productsHere(at); *to != NULL && strcmp((*to)->name, level) != 0;) *to = productsHere(++at);
  return *to == NULL ? refuse(api, "adaptlet.MatMulNBits: not for this processor") : NULL;
}

static Status createKernel(const struct CustomOp *op, Api api, const void *info, void **kernel) {
  (void)op;
  Kernel own = {.api = api};
  TRY(productsOf(api, info, &own.products));
  int64_t in, columns[maxLinears], bits[maxLinears];
  size_t widths, others;
  const int64_t most = 1 << 24;
  TRY(integerOf(api, info, "K", &in));
  TRY(readEach(api, info, "N", columns, &widths));
  TRY(readEach(api, info, "bits", bits, &others));
  if (in < 1 || in > most || widths != others) return unsupported(api);
  own.in = (size_t)in, own.blocks = pieces(own.in, blockValues), own.linears = widths;
  for (size_t i = 0; i < own.linears; i++) {
    if (columns[i] < 1 || columns[i] > most || (bits[i] != 4 && bits[i] != 8)) return unsupported(api);
    own.linear[i] = (Linear){(size_t)columns[i], (size_t)bits[i], pieces((size_t)columns[i], groupColumns)};
    own.columns += (size_t)columns[i];
  }
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
static size_t inputs(const struct CustomOp *op) { (void)op; return 2; }
static size_t outputs(const struct CustomOp *op) { (void)op; return 1; }
static int inputKind(const struct CustomOp *op, size_t index) { (void)op; return index == 0 ? required : variadic; }
static int outputKind(const struct CustomOp *op, size_t index) { (void)op; (void)index; return variadic; }

const struct CustomOp linearOperator = {
    .version = apiVersion,
    .getName = name,
    .getProvider = provider,
    .getInputType = inputType,
    .getInputTypeCount = inputs,
    .getOutputType = outputType,
    .getOutputTypeCount = outputs,
    .destroyKernel = destroyKernel,
    .getInputCharacteristic = inputKind,
    .getOutputCharacteristic = outputKind,
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
