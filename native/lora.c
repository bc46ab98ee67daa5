/*
 * The operator adaptlet.Lora: factors * (y + scale * B (A x)) + shifts for the linears that share the input x, with an adapter of
 * its own in each row of the batch. Most adapters have no factors (DoRA has) and no shifts (biases of B).
 *
 *   inputs   x [rows, ..., in] float32; adapters [rows] int64, addresses of tables or 0 for no adapter; y of each node, float32
 *   outputs  the sums, where y was if ONNX Runtime allows
 *   sites    for each linear: its place in the tables, features in, features out
 *   blocks   for each piece of columns: linear (by its place in `sites`), y, columns of that y, first column there, first
 *            feature of the linear, width
 *
 * Weights are read where they are, as they are stored. Nothing is kept between calls.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include "halves.h"
#include "operators.h"

/* An adapter in memory. Written by lora-tables.ts. */
typedef struct {
  uint64_t a, b; /* addresses; of int8 the scales come before the values */
  uint32_t rank; /* 0: not targeted */
  uint16_t aType, bType;
  float aScale, bScale;
  uint64_t factors, shifts; /* addresses of a float32 for each feature, or 0 */
} Pair;
typedef struct {
  uint64_t magic; /* gone once the adapter is unloaded */
  uint64_t sites;
  Pair pairs[];
} Table;
static const uint64_t tableMagic = 0x32304C5450444100; /* "\0ADPTL02" */

typedef struct { int64_t site, in, out; } Site;
typedef struct { int64_t site, y, columns, column, first, width; } Block;
enum { maxSites = 16, maxBlocks = 32 };
typedef struct {
  Api api;
  const Halves *halves;
  size_t sites, blocks, ys;
  int64_t columns[maxBlocks]; /* of each y */
  atomic_int checked; /* the shapes that follow from the weights were those of a first step */
  Site site[maxSites];
  Block block[maxBlocks];
} Kernel;

/* Tokens that one task computes, and ranks, and columns. */
enum { taskTokens = 32, taskRanks = 16, taskColumns = 512 };
/* Products below which handing tasks to threads costs more than it saves. */
enum { worthwhile = 1 << 16 };

/* Bytes that stay in the second cache of most processors until they are used. */
enum { cached = 384 << 10 };

/* Tokens next to each other with one adapter. */
typedef struct {
  const Table *table;
  size_t first, tokens;
  size_t low; /* where its low-rank values begin */
} Run;

typedef struct {
  const Kernel *kernel;
  const float *x;
  float *y[maxBlocks];
  float *low;
  size_t in, runs;
  const Run *run;
} Step;

static Status refuse(const Kernel *k, const char *why) { return createStatus(k->api, invalidArgument, why); }

static const Pair *pairOf(const Step *s, const Run *run, size_t site) {
  return &run->table->pairs[s->kernel->site[site].site];
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t all, size_t each) { return (all + each - 1) / each; }

/* Low-rank values of the linears before this one, for each token of the run. */
static size_t ranksBefore(const Step *s, const Run *run, size_t site) {
  size_t ranks = 0;
  for (size_t i = 0; i < site; i++) ranks += pairOf(s, run, i)->rank;
  return ranks;
}

static float *lowOf(const Step *s, const Run *run, size_t site) {
  return s->low + run->low + ranksBefore(s, run, site) * run->tokens;
}

static size_t bytesOf(int type, size_t rank, size_t features, size_t scales) {
  return rank * features * sizeOf(type) + (type == int8 ? scales * sizeof(float) : 0);
}

static size_t bytesOfPair(const Pair *pair, const Site *site) {
  if (pair->rank == 0) return 0;
  return bytesOf(pair->aType, pair->rank, (size_t)site->in, pair->rank) + bytesOf(pair->bType, pair->rank, (size_t)site->out, (size_t)site->out);
}

static void bringPair(const Pair *pair, const Site *site) {
  if (pair->rank == 0) return;
  bring((const void *)(uintptr_t)pair->a, bytesOf(pair->aType, pair->rank, (size_t)site->in, pair->rank));
  bring((const void *)(uintptr_t)pair->b, bytesOf(pair->bType, pair->rank, (size_t)site->out, (size_t)site->out));
}

static void down(const Step *s, const Run *run, size_t site, size_t first) {
  const Pair *pair = pairOf(s, run, site);
  const char *a = (const char *)(uintptr_t)pair->a;
  const int scaled = pair->aType == int8;
  const Down d = {
      .x = s->x + run->first * s->in,
      .a = scaled ? a + pair->rank * sizeof(float) : a,
      .scales = scaled ? (const float *)a : NULL,
      .low = lowOf(s, run, site),
      .tokens = run->tokens,
      .in = s->in,
      .rank = pair->rank,
      .first = first,
      .end = least(first + taskRanks, pair->rank),
      /* Of both halves: fewer products here than with every column of y. */
      .scale = pair->aScale * pair->bScale,
      .type = pair->aType,
  };
  s->kernel->halves->down(&d);
}

/* Factors and shifts of a pair, on features first to end of a block: once their sums are there. */
static void finish(const Step *s, const Run *run, const Block *block, size_t first, size_t end) {
  const Pair *pair = pairOf(s, run, block->site);
  const float *factors = (const float *)(uintptr_t)pair->factors;
  const float *shifts = (const float *)(uintptr_t)pair->shifts;
  if (factors == NULL && shifts == NULL) return;
  float *y = s->y[block->y] + run->first * block->columns + block->column;
  for (size_t token = 0; token < run->tokens; token++, y += block->columns) {
    if (factors != NULL)
      for (size_t feature = first; feature < end; feature++) y[feature - block->first] *= factors[feature];
    if (shifts != NULL)
      for (size_t feature = first; feature < end; feature++) y[feature - block->first] += shifts[feature];
  }
}

static void up(const Step *s, const Run *run, const Block *block, size_t first) {
  const Pair *pair = pairOf(s, run, block->site);
  const size_t out = s->kernel->site[block->site].out;
  const char *b = (const char *)(uintptr_t)pair->b;
  const int scaled = pair->bType == int8;
  const Up u = {
      .low = lowOf(s, run, block->site),
      .b = scaled ? b + out * sizeof(float) : b,
      .scales = scaled ? (const float *)b : NULL,
      .y = s->y[block->y] + run->first * block->columns + block->column,
      .tokens = run->tokens,
      .out = out,
      .rank = pair->rank,
      .stride = block->columns,
      .shift = block->first,
      .first = block->first + first,
      .end = block->first + least(first + taskColumns, block->width),
      .type = pair->bType,
  };
  s->kernel->halves->up(&u);
  finish(s, run, block, u.first, u.end);
}

/* All of one run: as many linears at a time as have weights that stay in the cache. */
static void runTask(void *data, size_t number) {
  const Step *s = data;
  const Kernel *k = s->kernel;
  const Run *run = &s->run[number];
  for (size_t begin = 0, end; begin < k->sites; begin = end) {
    size_t bytes = bytesOfPair(pairOf(s, run, begin), &k->site[begin]);
    for (end = begin + 1; end < k->sites; end++) {
      const size_t more = bytesOfPair(pairOf(s, run, end), &k->site[end]);
      if (bytes + more > cached) break;
      bytes += more;
    }
    /* Of a long prompt the run before this one brought the same. */
    const int there = number > 0 && s->run[number - 1].table == run->table;
    for (size_t site = begin; site < end && bytes <= cached && !there; site++) bringPair(pairOf(s, run, site), &k->site[site]);
    for (size_t site = begin; site < end; site++) {
      const size_t rank = pairOf(s, run, site)->rank;
      for (size_t first = 0; first < rank; first += taskRanks) down(s, run, site, first);
    }
    for (const Block *block = k->block; block < k->block + k->blocks; block++) {
      const size_t site = (size_t)block->site;
      if (site < begin || site >= end || pairOf(s, run, site)->rank == 0) continue;
      for (size_t first = 0; first < (size_t)block->width; first += taskColumns) up(s, run, block, first);
    }
  }
}

/* Of a single run, the task of this number: linear by linear, then block by block. */
static void downTask(void *data, size_t task) {
  const Step *s = data;
  for (size_t site = 0; site < s->kernel->sites; site++) {
    const Pair *pair = pairOf(s, s->run, site);
    const size_t own = pieces(pair->rank, taskRanks), first = task * taskRanks;
    if (task < own) {
      const size_t row = s->in * sizeOf(pair->aType), scales = pair->aType == int8 ? pair->rank * sizeof(float) : 0;
      bring((const char *)(uintptr_t)pair->a + scales + first * row, (least(first + taskRanks, pair->rank) - first) * row);
      return down(s, s->run, site, first);
    }
    task -= own;
  }
}

static void upTask(void *data, size_t task) {
  const Step *s = data;
  const Kernel *k = s->kernel;
  for (const Block *block = k->block; block < k->block + k->blocks; block++) {
    if (pairOf(s, s->run, block->site)->rank == 0) continue;
    const size_t own = pieces(block->width, taskColumns);
    if (task < own) return up(s, s->run, block, task * taskColumns);
    task -= own;
  }
}

static Status compute(void *kernel, void *context) {
  Kernel *k = kernel;
  const void *x, *adapters;
  const int64_t *tables;
  int64_t dims[maxDims], own[maxDims];
  size_t rank, ownRank;
  Step s = {.kernel = k};
  TRY(inputAt(k->api, context, 0, &x));
  TRY(dimsOf(k->api, x, dims, &rank));
  if (rank < 2) return refuse(k, "adaptlet.Lora: x has no features");
  s.in = (size_t)dims[rank - 1];
  for (size_t i = 0; i < k->sites; i++)
    if ((int64_t)s.in != k->site[i].in) return refuse(k, "adaptlet.Lora: x has other features than its linears");
  size_t tokens = 1;
  for (size_t i = 0; i + 1 < rank; i++) tokens *= (size_t)dims[i];
  TRY(inputAt(k->api, context, 1, &adapters));
  TRY(dimsOf(k->api, adapters, own, &ownRank));
  const size_t rows = (size_t)dims[0];
  if (ownRank != 1 || own[0] != dims[0]) return refuse(k, "adaptlet.Lora: there is not one adapter for each row of x");
  TRY(dataOf(k->api, (void *)(uintptr_t)x, (void **)&s.x));
  TRY(dataOf(k->api, (void *)(uintptr_t)adapters, (void **)&tables));

  /* Columns are those of weights: once they were right they are. */
  const int checked = atomic_load_explicit(&k->checked, memory_order_relaxed);
  for (size_t y = 0; y < k->ys; y++) {
    const void *in;
    void *out, *from;
    TRY(inputAt(k->api, context, 2 + y, &in));
    dims[rank - 1] = k->columns[y];
    const size_t values = tokens * (size_t)k->columns[y];
    if (!checked) {
      TRY(dimsOf(k->api, in, own, &ownRank));
      if (ownRank != rank || memcmp(own, dims, rank * sizeof *dims) != 0)
        return refuse(k, "adaptlet.Lora: y has another shape than its node");
    }
    TRY(outputAt(k->api, context, y, dims, rank, &out));
    TRY(dataOf(k->api, (void *)(uintptr_t)in, &from));
    TRY(dataOf(k->api, out, (void **)&s.y[y]));
    if (from != s.y[y]) memcpy(s.y[y], from, values * sizeof(float));
  }
  if (!checked) atomic_store_explicit(&k->checked, 1, memory_order_relaxed);
  if (tokens == 0) return NULL;

  const size_t perRow = tokens / rows;
  Run few[16];
  const size_t most = pieces(tokens, taskTokens) + rows;
  Run *runs = most <= 16 ? few : malloc(most * sizeof(Run));
  if (runs == NULL) return createStatus(k->api, fail, "adaptlet.Lora: out of memory");
  size_t lows = 0, products = 0;
  for (size_t row = 0; row < rows;) {
    const int64_t address = tables[row];
    const size_t first = row;
    while (row < rows && tables[row] == address) row++;
    if (address == 0) continue;
    const Table *table = (const Table *)(uintptr_t)address;
    int ok = table->magic == tableMagic;
    size_t ranks = 0;
    for (size_t i = 0; ok && i < k->sites; i++) {
      ok = (uint64_t)k->site[i].site < table->sites;
      if (!ok) break;
      const size_t own = table->pairs[k->site[i].site].rank;
      ranks += own;
      products += own * (size_t)(k->site[i].in + k->site[i].out) * (row - first) * perRow;
    }
    if (!ok) {
      if (runs != few) free(runs);
      return refuse(k, "adaptlet.Lora: an adapter is not there");
    }
    if (ranks == 0) continue;
    const size_t end = row * perRow;
    for (size_t at = first * perRow; at < end; at += taskTokens) {
      const size_t count = least(taskTokens, end - at);
      runs[s.runs++] = (Run){.table = table, .first = at, .tokens = count, .low = lows};
      lows += count * ranks;
    }
  }
  s.run = runs;
  float fewLows[1024];
  Status status = NULL;
  s.low = lows <= 1024 ? fewLows : malloc(lows * sizeof(float));
  if (s.low == NULL) status = createStatus(k->api, fail, "adaptlet.Lora: out of memory");
  else if (products < worthwhile) {
    for (size_t number = 0; number < s.runs; number++) runTask(&s, number);
  } else if (s.runs > 1) {
    status = parallelFor(k->api, context, runTask, s.runs, &s);
  } else {
    size_t downs = 0, ups = 0;
    for (size_t site = 0; site < k->sites; site++) downs += pieces(pairOf(&s, runs, site)->rank, taskRanks);
    for (size_t i = 0; i < k->blocks; i++)
      if (pairOf(&s, runs, k->block[i].site)->rank > 0) ups += pieces(k->block[i].width, taskColumns);
    status = parallelFor(k->api, context, downTask, downs, &s);
    if (status == NULL) status = parallelFor(k->api, context, upTask, ups, &s);
  }
  if (s.low != fewLows) free(s.low);
  if (runs != few) free(runs);
  return status;
}

/* Reads a list of groups of numbers. */
static Status readGroups(Api api, const void *info, const char *name, int64_t *into, size_t size, size_t most, size_t *count) {
  size_t numbers = 0;
  TRY(integersOf(api, info, name, NULL, &numbers));
  if (numbers == 0 || numbers % size != 0 || numbers / size > most)
    return createStatus(api, invalidArgument, "adaptlet.Lora: an attribute has another length");
  *count = numbers / size;
  return integersOf(api, info, name, into, &numbers);
}

static Status createKernel(const struct CustomOp *op, Api api, const void *info, void **kernel) {
  (void)op;
  Kernel *k = calloc(1, sizeof *k);
  if (k == NULL) return createStatus(api, fail, "adaptlet.Lora: out of memory");
  k->api = api;
  k->halves = *halvesHere();
  Status status = readGroups(api, info, "sites", &k->site[0].site, 3, maxSites, &k->sites);
  if (status == NULL) status = readGroups(api, info, "blocks", &k->block[0].site, 6, maxBlocks, &k->blocks);
  for (size_t i = 0; status == NULL && i < k->sites; i++) {
    const Site *site = &k->site[i];
    if (site->site < 0 || site->in < 1 || site->out < 1) status = refuse(k, "adaptlet.Lora: a linear has no features");
  }
  for (size_t i = 0; status == NULL && i < k->blocks; i++) {
    const Block *b = &k->block[i];
    const int there = b->site >= 0 && (size_t)b->site < k->sites && b->y >= 0 && b->y < maxBlocks && b->column >= 0 &&
                      b->first >= 0 && b->width >= 1 && b->column + b->width <= b->columns;
    if (!there || b->first + b->width > k->site[b->site].out) status = refuse(k, "adaptlet.Lora: a block lies outside its node");
    else {
      if ((size_t)b->y >= k->ys) k->ys = (size_t)b->y + 1;
      if (k->columns[b->y] != 0 && k->columns[b->y] != b->columns) status = refuse(k, "adaptlet.Lora: a node has two widths");
      k->columns[b->y] = b->columns;
    }
  }
  if (status == NULL) *kernel = k;
  else free(k);
  return status;
}

static void destroyKernel(void *kernel) { free(kernel); }
static const char *name(const struct CustomOp *op) { (void)op; return "Lora"; }
static int inputType(const struct CustomOp *op, size_t index) { (void)op; return index == 1 ? typeInt64 : typeFloat; }
static size_t inputs(const struct CustomOp *op) { (void)op; return 3; }
static int outputType(const struct CustomOp *op, size_t index) { (void)op; (void)index; return typeFloat; }
static size_t outputs(const struct CustomOp *op) { (void)op; return 1; }
static int inputKind(const struct CustomOp *op, size_t index) { (void)op; return index == 2 ? variadic : required; }
static int outputKind(const struct CustomOp *op, size_t index) { (void)op; (void)index; return variadic; }

/* Every y may become its sum in place. */
static size_t mayInplace(int **from, int **to) {
  *from = malloc(maxBlocks * sizeof(int));
  *to = malloc(maxBlocks * sizeof(int));
  if (*from == NULL || *to == NULL) return 0;
  for (int i = 0; i < maxBlocks; i++) {
    (*from)[i] = 2 + i;
    (*to)[i] = i;
  }
  return maxBlocks;
}
static void releaseInplace(int *from, int *to) { free(from); free(to); }

const struct CustomOp loraOperator = {
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
    .getMayInplace = mayInplace,
    .releaseMayInplace = releaseInplace,
};
