/* Random shapes against float64, at every instruction set of this processor; and what must be equal bit for bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "halves.h"

static uint64_t state;
static uint32_t next(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  uint32_t x = (uint32_t)(state >> 33);
  return x ^ x >> 15;
}
static size_t between(size_t low, size_t high) { return low + next() % (high - low + 1); }
static float number(void) { return (float)(int32_t)(next() % 65537 - 32768) / 32768.0f; }

static uint16_t halfOf(float value) {
  if (fabsf(value) < 0x1p-14f) return (uint16_t)((value < 0 ? 0x8000 : 0) | (uint16_t)lrintf(fabsf(value) * 0x1p24f));
  union { float value; uint32_t bits; } all = {value};
  return (uint16_t)((all.bits >> 16 & 0x8000) | ((all.bits >> 13 & 0x3fff) | (all.bits >> 16 & 0x4000)));
}

/* `count` random values as they are stored, their scales before them, and what they stand for. Exactly `bytes`: no slack. */
static char *stored(int type, size_t rows, size_t columns, int byColumn, double *values) {
  const size_t scales = type != int8 ? 0 : byColumn ? columns : rows;
  char *bytes = malloc(scales * 4 + rows * columns * sizeOf(type));
  for (size_t i = 0; i < scales; i++) ((float *)bytes)[i] = 0.01f + fabsf(number()) / 100;
  for (size_t i = 0; i < rows * columns; i++) {
    char *at = bytes + scales * 4 + i * sizeOf(type);
    const float value = number();
    union { float value; uint32_t bits; } all = {value};
    uint16_t sixteen;
    switch (type) {
      case float16: {
        sixteen = halfOf(next() % 8 == 0 ? value / 65536 : value);
        memcpy(at, &sixteen, 2);
        const int exponent = sixteen >> 10 & 31;
        const double fraction = sixteen & 1023;
        values[i] = (sixteen & 0x8000 ? -1 : 1) * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
        break;
      }
      case bfloat16:
        sixteen = (uint16_t)(all.bits >> 16);
        memcpy(at, &sixteen, 2);
        all.bits &= 0xffff0000;
        values[i] = all.value;
        break;
      case int8:
        *(int8_t *)at = (int8_t)(next() % 255 - 127);
        values[i] = (double)*(int8_t *)at * ((float *)bytes)[byColumn ? i % columns : i / columns];
        break;
      default:
        memcpy(at, &value, 4);
        values[i] = value;
    }
  }
  return bytes;
}

static void fail(const char *what, uint64_t seed) {
  printf("FAILED: %s, seed %llu\n", what, (unsigned long long)seed);
  exit(1);
}

static void one(uint64_t seed) {
  state = seed * 2654435761u + 99;
  for (int i = 0; i < 5; i++) next();
  const size_t tokens = between(1, 9), rank = between(1, 40), in = between(1, 200), out = between(1, 200);
  const int aType = (int)between(0, 3), bType = (int)between(0, 3);
  const float scale = 0.25f + fabsf(number());
  double *a64 = malloc(rank * in * sizeof(double)), *b64 = malloc(rank * out * sizeof(double));
  char *a = stored(aType, rank, in, 0, a64), *b = stored(bType, rank, out, 1, b64);
  float *x = malloc(tokens * in * 4), *y = malloc(tokens * out * 4), *low = malloc(tokens * rank * 4);
  for (size_t i = 0; i < tokens * in; i++) x[i] = number();
  for (size_t i = 0; i < tokens * out; i++) y[i] = number();
  double *want = malloc(tokens * out * sizeof(double)), *size = calloc(tokens * out, sizeof(double));
  for (size_t t = 0; t < tokens; t++)
    for (size_t n = 0; n < out; n++) {
      double sum = 0, all = 0;
      for (size_t j = 0; j < rank; j++) {
        double dot = 0, dots = 0;
        for (size_t k = 0; k < in; k++) {
          dot += x[t * in + k] * a64[j * in + k];
          dots += fabs(x[t * in + k] * a64[j * in + k]);
        }
        sum += dot * scale * b64[j * out + n];
        all += fabs(dots * scale * b64[j * out + n]);
      }
      want[t * out + n] = y[t * out + n] + sum;
      size[t * out + n] = fabs(y[t * out + n]) + all;
    }
  float *first = NULL;
  for (const Halves *const *h = halvesHere(); *h != NULL; h++) {
    float *own = malloc(tokens * out * 4), *alone = malloc(tokens * out * 4);
    memcpy(own, y, tokens * out * 4);
    memcpy(alone, y, tokens * out * 4);
    Down d = {.x = x, .a = aType == int8 ? a + rank * 4 : a, .scales = aType == int8 ? (float *)a : NULL, .low = low,
              .tokens = tokens, .in = in, .rank = rank, .first = 0, .end = rank, .scale = scale, .type = aType};
    Up u = {.low = low, .b = bType == int8 ? b + out * 4 : b, .scales = bType == int8 ? (float *)b : NULL, .y = own,
            .tokens = tokens, .out = out, .rank = rank, .stride = out, .first = 0, .end = out, .type = bType};
    (*h)->down(&d);
    (*h)->up(&u);
    for (size_t i = 0; i < tokens * out; i++)
      if (!(fabs(own[i] - want[i]) <= 1e-5 * size[i] + 1e-12)) {
        printf("%s: %g in place of %g; tokens %zu, rank %zu, in %zu, out %zu, types %d and %d\n", (*h)->name, own[i], want[i], tokens, rank, in, out, aType, bType);
        fail("another result than float64", seed);
      }
    /* Token by token, in other tiles, ranks and columns in two parts: the same bits. */
    const size_t ranks = between(0, rank), columns = between(0, out) & ~(size_t)15;
    for (size_t t = 0; t < tokens; t++) {
      Down dt = d;
      dt.x = x + t * in, dt.low = low + t * rank, dt.tokens = 1;
      dt.end = ranks, (*h)->down(&dt);
      dt.first = ranks, dt.end = rank, (*h)->down(&dt);
      Up ut = u;
      ut.y = alone + t * out, ut.low = low + t * rank, ut.tokens = 1;
      ut.end = columns, (*h)->up(&ut);
      ut.first = columns, ut.end = out, (*h)->up(&ut);
    }
    if (memcmp(own, alone, tokens * out * 4) != 0) fail("a token beside others differs from it alone", seed);
    const int plain = strcmp((*h)->name, "plain") == 0;
    if (first != NULL && !plain && memcmp(first, own, tokens * out * 4) != 0) fail("instruction sets differ", seed);
    free(alone);
    if (first == NULL) first = own;
    else free(own);
  }
  free(first), free(a), free(b), free(a64), free(b64), free(x), free(y), free(low), free(want), free(size);
}

#include "check-products.h"

/* Attention of some queries; what no query sees is no number, and behind the last token there is nothing. */
static void attention(uint64_t seed) {
  state = seed * 2654435761u + 7;
  for (int i = 0; i < 5; i++) next();
  const size_t size = 16 * between(1, seed % 7 == 0 ? 16 : 8), tokens = between(1, 300), queries = between(1, mostQueries);
  const float scale = 0.05f + fabsf(number()) / 4, cap = next() % 3 == 0 ? 2 + fabsf(number()) : 0;
  const int sunk = next() % 3 == 0, windowed = next() % 3 == 0;
  float *q = malloc(queries * size * 4), *k = malloc(tokens * size * 4), *v = malloc(tokens * size * 4);
  float *sinks = malloc(queries * 4);
  size_t *from = malloc(queries * sizeof *from), *to = malloc(queries * sizeof *to), low = tokens, high = 0;
  for (size_t i = 0; i < queries; i++) {
    to[i] = between(1, tokens), from[i] = windowed ? between(0, to[i] - 1) : 0, sinks[i] = number();
    if (from[i] < low) low = from[i];
    if (to[i] > high) high = to[i];
  }
  for (size_t i = 0; i < queries * size; i++) q[i] = 3 * number();
  for (size_t i = 0; i < tokens * size; i++) {
    const int seen = i / size >= low && i / size < high;
    k[i] = seen ? number() : NAN, v[i] = seen ? number() : NAN;
  }
  /* Scores of the first keys are -inf: blocks of them are nothing, and not NaN. Each query sees another key. */
  size_t infinite = next() % 3 == 0 ? tokens : 0;
  for (size_t i = 0; i < queries; i++) infinite = to[i] <= infinite ? to[i] - 1 : infinite;
  for (size_t i = 0; infinite > 0 && i < queries; i++) q[i * size] = 1;
  for (size_t t = low; t < infinite; t++) k[t * size] = -INFINITY;
  double *want = calloc(queries * size, sizeof(double));
  for (size_t i = 0; i < queries; i++) {
    double *scores = malloc(tokens * sizeof(double)), most = sunk ? sinks[i] : -INFINITY, total = 0;
    for (size_t t = from[i]; t < to[i]; t++) {
      double dot = 0;
      for (size_t c = 0; c < size; c++) dot += (double)q[i * size + c] * k[t * size + c];
      scores[t] = cap > 0 ? cap * tanh(dot * scale / cap) : dot * scale;
      if (scores[t] > most) most = scores[t];
    }
    if (sunk) total += exp(sinks[i] - most);
    for (size_t t = from[i]; t < to[i]; t++) total += exp(scores[t] - most);
    for (size_t t = from[i]; t < to[i]; t++)
      for (size_t c = 0; c < size; c++) want[i * size + c] += exp(scores[t] - most) / total * v[t * size + c];
    free(scores);
  }
  float *first = NULL;
  for (const Halves *const *h = halvesHere(); *h != NULL; h++) {
    float *own = malloc(queries * size * 4), *alone = malloc(queries * size * 4);
    float *outs[mostQueries], *out[1];
    for (size_t i = 0; i < queries; i++) outs[i] = own + i * size;
    const Attend a = {.q = q, .k = k, .v = v, .from = from, .to = to, .sinks = sunk ? sinks : NULL, .out = outs, .queries = queries,
                      .size = size, .scale = scale, .cap = cap};
    (*h)->attend(&a);
    for (size_t i = 0; i < queries * size; i++)
      if (!(fabs(own[i] - want[i]) <= 3e-5)) {
        printf("%s: attention %g in place of %g; query %zu of %zu, size %zu, tokens %zu to %zu\n", (*h)->name, own[i], want[i], i / size, queries, size, from[i / size], to[i / size]);
        fail("another attention than float64", seed);
      }
    for (size_t i = 0; i < queries; i++) {
      Attend one = a;
      one.q = q + i * size, one.from = from + i, one.to = to + i, one.queries = 1, out[0] = alone + i * size, one.out = out;
      if (sunk) one.sinks = sinks + i;
      (*h)->attend(&one);
    }
    if (memcmp(own, alone, queries * size * 4) != 0) fail("a query beside others differs from it alone", seed);
    const int plain = strcmp((*h)->name, "plain") == 0;
    if (first != NULL && !plain && memcmp(first, own, queries * size * 4) != 0) fail("instruction sets differ in attention", seed);
    free(alone);
    if (first == NULL) first = own;
    else free(own);
  }
  free(first), free(q), free(k), free(v), free(sinks), free(from), free(to), free(want);
}

int main(int count, char **args) {
  const uint64_t from = count > 1 ? strtoull(args[1], NULL, 10) : 1, cases = count > 2 ? strtoull(args[2], NULL, 10) : 2000;
  for (uint64_t seed = from; seed < from + cases; seed++) one(seed), attention(seed), products(seed);
  printf("%llu random shapes from seed %llu, at", (unsigned long long)cases, (unsigned long long)from);
  for (const Halves *const *h = halvesHere(); *h != NULL; h++) printf(" %s", (*h)->name);
  printf("; products:%s", productsHere(0) == NULL ? " none" : "");
  for (size_t at = 0; checkedProducts(at) != NULL; at++) printf(" %s", checkedProducts(at)->name);
  printf(", digest %016llx\n", (unsigned long long)digest);
}
