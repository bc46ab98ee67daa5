/*
 * The operator adaptlet.GroupQueryAttention: that of com.microsoft on float32, with inputs, outputs and attributes of the same names, but
 * each new token of each row has the same bits whatever else a step computes (attend.c). What it does not do it has no inputs for;
 * src/runtime/engine/onnx/attention-operator.ts leaves such nodes as they are. A first prompt with padding to the right is refused:
 * a row has no fewer tokens than come with the step. `threads`, an attribute: tasks of a step of few queries, at least 8.
 *
 *   inputs   query [rows, tokens, heads * size], or with key and value behind it; key, value [rows, tokens, kv_heads * size]; keys and
 *            values of earlier tokens [rows, kv_heads, room, size]; tokens of each row less one, and of the longest row, int32;
 *            cosines and sines [positions, pairs], and which of them each token has, int64 [rows, tokens]; one that has to be absent; a
 *            score of each head that nothing is behind
 *   outputs  the sums [rows, tokens, heads * size]; keys and values, where the earlier ones are if they are given that memory
 */
#include <math.h>
#include <stdlib.h>
#include "halves.h"
#include "operators.h"

enum { query, key, value, pastKey, pastValue, lengths, longest, cosines, sines, positions, bias, sinks, inputCountHere };
/* Tasks that a step of few queries is cut into, more where there are more threads; products below which threads do not pay. */
enum { tasksWanted = 8, worthwhile = 1 << 16 };

typedef struct {
  Api api;
  const Halves *halves;
  int64_t heads, kvHeads, window, rotary, interleaved, smooth, tasks;
  float scale, cap;
} Kernel;

/* One step. */
typedef struct {
  const Kernel *kernel;
  const float *query, *key, *value; /* of the first row */
  size_t queryRow, keyRow;          /* values from token to token */
  const float *pastKeys, *pastValues, *cosines, *sines, *sinks;
  float *keys, *values, *out;
  const int32_t *lengths;
  const int64_t *positions; /* of each token; NULL: those of its row in order */
  size_t rows, tokens, size, pastRoom, room, pairs;
  size_t chunk, chunks; /* queries of a task, and tasks of the heads that share keys */
} Step;

static Status refuse(const Kernel *k, const char *why) { return createStatus(k->api, invalidArgument, why); }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t before(const Step *s, size_t row) { return (size_t)s->lengths[row] + 1 - s->tokens; }
static size_t positionOf(const Step *s, size_t row, size_t token) {
  return s->positions == NULL ? before(s, row) + token : (size_t)s->positions[row * s->tokens + token];
}

/* Turns the first pairs of a head by the position of its token; all else is copied. */
static void turn(const Step *s, const float *from, size_t position, float *to) {
  memcpy(to, from, s->size * sizeof *to);
  if (!s->kernel->rotary) return;
  const float *cosine = s->cosines + position * s->pairs, *sine = s->sines + position * s->pairs;
  const size_t step = s->kernel->interleaved ? 2 : 1, other = s->kernel->interleaved ? 1 : s->pairs;
  for (size_t i = 0; i < s->pairs; i++) {
    const float a = from[i * step], b = from[i * step + other];
    to[i * step] = a * cosine[i] - b * sine[i];
    to[i * step + other] = b * cosine[i] + a * sine[i];
  }
}

/* Writes the new keys and values of one head of one row, and the earlier ones where those are in other memory. */
static void append(void *data, size_t number) {
  const Step *s = data;
  const size_t row = number / s->kernel->kvHeads, head = number % s->kernel->kvHeads, past = before(s, row);
  float *keys = s->keys + number * s->room * s->size, *values = s->values + number * s->room * s->size;
  const size_t from = number * s->pastRoom * s->size, bytes = past * s->size * sizeof(float);
  if (s->pastKeys != s->keys && bytes > 0) memcpy(keys, s->pastKeys + from, bytes);
  if (s->pastValues != s->values && bytes > 0) memcpy(values, s->pastValues + from, bytes);
  for (size_t t = 0; t < s->tokens; t++) {
    const size_t at = (row * s->tokens + t) * s->keyRow + head * s->size;
    turn(s, s->key + at, positionOf(s, row, t), keys + (past + t) * s->size);
    memcpy(values + (past + t) * s->size, s->value + at, s->size * sizeof(float));
  }
}

/* Some queries of the heads that share keys: token after token, the heads of each. */
static void attend(void *data, size_t number) {
  const Step *s = data;
  const Kernel *k = s->kernel;
  const size_t group = (size_t)(k->heads / k->kvHeads), shared = number / s->chunks;
  const size_t row = shared / k->kvHeads, past = before(s, row);
  const size_t first = number % s->chunks * s->chunk, end = least(first + s->chunk, s->tokens * group);
  float q[mostQueries * mostSize], scores[mostQueries] = {0};
  float *out[mostQueries];
  size_t from[mostQueries], to[mostQueries];
  for (size_t n = first; n < end; n++) {
    const size_t i = n - first, token = n / group, head = shared % k->kvHeads * group + n % group;
    const size_t at = row * s->tokens + token;
    turn(s, s->query + at * s->queryRow + head * s->size, positionOf(s, row, token), q + i * s->size);
    out[i] = s->out + (at * k->heads + head) * s->size;
    to[i] = past + token + 1;
    from[i] = k->window > 0 && to[i] > (size_t)k->window ? to[i] - (size_t)k->window : 0;
    if (s->sinks != NULL) scores[i] = s->sinks[head];
  }
  const Attend a = {
      .q = q,
      .k = s->keys + shared * s->room * s->size,
      .v = s->values + shared * s->room * s->size,
      .from = from,
      .to = to,
      .sinks = s->sinks != NULL || k->smooth ? scores : NULL,
      .out = out,
      .queries = end - first,
      .size = s->size,
      .scale = k->scale != 0 ? k->scale : 1 / sqrtf((float)s->size),
      .cap = k->cap,
  };
  k->halves->attend(&a);
}

/* An input with so many dimensions, or 0 for any: then dims[0] is how many values it has. NULL where it is absent. */
static Status read(const Kernel *k, void *context, size_t index, int64_t *dims, size_t rank, void *data) {
  static const char other[] = "adaptlet.GroupQueryAttention: an input has other dimensions";
  const void *tensor;
  *(void **)data = NULL;
  TRY(inputAt(k->api, context, index, &tensor));
  if (tensor == NULL) return NULL;
  int64_t all[maxDims];
  size_t count;
  TRY(dimsOf(k->api, tensor, all, &count));
  if (rank > 0 && count != rank) return refuse(k, other);
  if (rank > 0) memcpy(dims, all, rank * sizeof *dims);
  else {
    dims[0] = 1;
    for (size_t i = 0; i < count; i++) dims[0] *= all[i];
  }
  return dataOf(k->api, (void *)(uintptr_t)tensor, data);
}

static Status run(const Kernel *k, void *context, void (*task)(void *, size_t), size_t tasks, size_t products, Step *s) {
  if (tasks > 1 && products >= worthwhile) return parallelFor(k->api, context, task, tasks, s);
  for (size_t number = 0; number < tasks; number++) task(s, number);
  return NULL;
}

static Status compute(void *kernel, void *context) {
  const Kernel *k = kernel;
  Step s = {.kernel = k};
  int64_t q[3], keys[3], kv[3], past[4], values[4], table[2], angles[2], counts[1], one[2];
  const int32_t *total;
  TRY(read(k, context, query, q, 3, &s.query));
  TRY(read(k, context, key, keys, 3, &s.key));
  TRY(read(k, context, value, kv, 3, &s.value));
  TRY(read(k, context, pastKey, past, 4, &s.pastKeys));
  TRY(read(k, context, pastValue, values, 4, &s.pastValues));
  TRY(read(k, context, lengths, counts, 0, &s.lengths));
  TRY(read(k, context, longest, one, 0, &total));
  const int64_t size = past[3], own = k->heads * size, theirs = k->kvHeads * size;
  if (size % 16 != 0 || size > mostSize || past[1] != k->kvHeads || past[0] != q[0] || counts[0] != q[0] || one[0] != 1 ||
      memcmp(past, values, sizeof past) != 0 || q[2] != own + (s.key == NULL ? 2 * theirs : 0) ||
      (s.key == NULL) != (s.value == NULL) ||
      (s.key != NULL && (kv[0] != q[0] || kv[1] != q[1] || kv[2] != theirs || memcmp(keys, kv, sizeof kv) != 0)))
    return refuse(k, "adaptlet.GroupQueryAttention: query, keys and values do not fit each other");
  s.rows = (size_t)q[0], s.tokens = (size_t)q[1], s.size = (size_t)size, s.pastRoom = (size_t)past[2];
  s.room = past[2] < *total ? (size_t)*total : (size_t)past[2];
  s.queryRow = (size_t)q[2], s.keyRow = s.key == NULL ? s.queryRow : (size_t)theirs;
  if (s.key == NULL) s.key = s.query + own, s.value = s.key + theirs;
  size_t positionsThere = SIZE_MAX;
  if (k->rotary) {
    TRY(read(k, context, cosines, table, 2, &s.cosines));
    TRY(read(k, context, sines, angles, 2, &s.sines));
    if (s.cosines == NULL || s.sines == NULL || memcmp(table, angles, sizeof table) != 0 || 2 * table[1] > size)
      return refuse(k, "adaptlet.GroupQueryAttention: there are no cosines and sines");
    positionsThere = (size_t)table[0], s.pairs = (size_t)table[1];
  }
  TRY(read(k, context, positions, one, 2, &s.positions));
  if (s.positions != NULL && (one[0] != q[0] || one[1] != q[1]))
    return refuse(k, "adaptlet.GroupQueryAttention: there is not one position for each token");
  for (size_t i = 0; k->rotary && s.positions != NULL && i < s.rows * s.tokens; i++)
    if ((uint64_t)s.positions[i] >= positionsThere)
      return refuse(k, "adaptlet.GroupQueryAttention: a position lies outside the cosines");
  TRY(read(k, context, sinks, one, 1, &s.sinks));
  if (s.sinks != NULL && one[0] != k->heads)
    return refuse(k, "adaptlet.GroupQueryAttention: there is not one sink for each head");
  size_t seen = 0;
  for (size_t row = 0; row < s.rows; row++) {
    const int64_t length = (int64_t)s.lengths[row] + 1;
    if (length - q[1] > past[2])
      return refuse(k, "adaptlet.GroupQueryAttention: a row has more earlier tokens than keys");
    if (length < q[1] || (size_t)length > s.room || (s.positions == NULL && (size_t)length > positionsThere))
      return refuse(k, "adaptlet.GroupQueryAttention: a row has fewer tokens than come with the step, or more than there is room for");
    seen += (size_t)length;
  }

  void *tensor;
  const int64_t present[] = {q[0], k->kvHeads, (int64_t)s.room, size}, sums[] = {q[0], q[1], own};
  TRY(outputAt(k->api, context, 0, sums, 3, &tensor));
  TRY(dataOf(k->api, tensor, (void **)&s.out));
  TRY(outputAt(k->api, context, 1, present, 4, &tensor));
  TRY(dataOf(k->api, tensor, (void **)&s.keys));
  TRY(outputAt(k->api, context, 2, present, 4, &tensor));
  TRY(dataOf(k->api, tensor, (void **)&s.values));
  if (s.rows == 0 || s.tokens == 0) return NULL;

  const size_t heads = s.rows * (size_t)k->kvHeads, queries = s.tokens * (size_t)(k->heads / k->kvHeads);
  s.chunk = heads * queries / (size_t)k->tasks;
  if (s.chunk > mostQueries) s.chunk = mostQueries;
  if (s.chunk > queries) s.chunk = queries;
  if (s.chunk == 0) s.chunk = 1;
  s.chunks = (queries + s.chunk - 1) / s.chunk;
  TRY(run(k, context, append, heads, heads * s.tokens * s.size, &s));
  return run(k, context, attend, heads * s.chunks, seen * s.tokens * (size_t)own, &s);
}

/* A number of the node, or what it is where the node does not say. */
static float floatOr(Api api, const void *info, const char *name, float otherwise) {
  float there;
  const Status status = floatOf(api, info, name, &there);
  if (status == NULL) return there;
  releaseStatus(api, status);
  return otherwise;
}

static int64_t integerOr(Api api, const void *info, const char *name, int64_t otherwise) {
  int64_t there;
  const Status status = integerOf(api, info, name, &there);
  if (status == NULL) return there;
  releaseStatus(api, status);
  return otherwise;
}

static Status createKernel(const struct CustomOp *op, Api api, const void *info, void **kernel) {
  (void)op;
  Kernel *k = calloc(1, sizeof *k);
  if (k == NULL) return createStatus(api, fail, "adaptlet.GroupQueryAttention: out of memory");
  *k = (Kernel){
      .api = api,
      .halves = *halvesHere(),
      .heads = integerOr(api, info, "num_heads", 0),
      .kvHeads = integerOr(api, info, "kv_num_heads", 0),
      .window = integerOr(api, info, "local_window_size", -1),
      .rotary = integerOr(api, info, "do_rotary", 0),
      .interleaved = integerOr(api, info, "rotary_interleaved", 0),
      .smooth = integerOr(api, info, "smooth_softmax", 0) == 1,
      .tasks = integerOr(api, info, "threads", tasksWanted),
      .scale = floatOr(api, info, "scale", 0),
      .cap = floatOr(api, info, "softcap", 0),
  };
  if (k->kvHeads < 1 || k->heads < 1 || k->heads % k->kvHeads != 0) {
    free(k);
    return createStatus(api, invalidArgument, "adaptlet.GroupQueryAttention: heads are not shared evenly");
  }
  if (k->tasks < tasksWanted) k->tasks = tasksWanted;
  *kernel = k;
  return NULL;
}

static void destroyKernel(void *kernel) { free(kernel); }
static const char *name(const struct CustomOp *op) { (void)op; return "GroupQueryAttention"; }
static int inputType(const struct CustomOp *op, size_t index) {
  (void)op;
  return index == lengths || index == longest ? typeInt32 : index == positions ? typeInt64 : typeFloat;
}
static size_t inputs(const struct CustomOp *op) { (void)op; return inputCountHere; }
static int inputKind(const struct CustomOp *op, size_t index) {
  (void)op;
  return index == query || (index >= pastKey && index <= longest) ? required : optional;
}
static int outputType(const struct CustomOp *op, size_t index) { (void)op; (void)index; return typeFloat; }
static size_t outputs(const struct CustomOp *op) { (void)op; return 3; }
static int outputKind(const struct CustomOp *op, size_t index) { (void)op; (void)index; return required; }

const struct CustomOp attentionOperator = {
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
