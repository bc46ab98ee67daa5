/*
 * Attention for one instruction set: LEVEL. Keys come in blocks of 64 that begin at multiples of 64; of each block a query has its
 * scores, their softmax relative to the largest so far, and the sum of values, even tokens and odd ones by themselves. So a query has
 * the same result, bit for bit, whatever other queries it is computed with, and wherever its keys end.
 */
#include <math.h>
#include "lanes.h"

/* Bytes of keys, and of values, that are loaded together: both stay in the second cache of most processors until they are used. */
enum { TOGETHER = 64 << 10 };
/* Keys of a block; keys whose scores grow side by side; pieces of sixteen features of a value that do. */
enum { BLOCK = 64 };
#if defined(LEVEL_AVX512)
enum { KEYS = 16, WIDE = 4 };
#else
enum { KEYS = 4, WIDE = 1 };
#endif

/*
 * Of each level: times, over (quotients), largest and least (of NaN and a number the second); raised: p * 2^n for a whole n; unless:
 * 0 where x is below the limit, and not where it is NaN.
 */
#if defined(LEVEL_AVX512)
INLINE Lanes times(Lanes a, Lanes b) { return a * b; }
INLINE Lanes over(Lanes a, Lanes b) { return a / b; }
INLINE Lanes largest(Lanes a, Lanes b) { return (v16)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE Lanes least(Lanes a, Lanes b) { return (v16)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE Lanes raised(Lanes p, Lanes n) { return (v16)_mm512_scalef_ps((__m512)p, (__m512)n); }
INLINE Lanes unless(Lanes x, float limit, Lanes value) {
  return (v16)_mm512_maskz_mov_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(limit), _CMP_NLT_UQ), (__m512)value);
}
#elif defined(LEVEL_AVX2)
INLINE Lanes times(Lanes a, Lanes b) {
  EACH a.part[i] = _mm256_mul_ps(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes over(Lanes a, Lanes b) {
  EACH a.part[i] = _mm256_div_ps(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes largest(Lanes a, Lanes b) {
  EACH a.part[i] = _mm256_max_ps(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes least(Lanes a, Lanes b) {
  EACH a.part[i] = _mm256_min_ps(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes raised(Lanes p, Lanes n) {
  EACH p.part[i] = _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(p.part[i]), _mm256_slli_epi32(_mm256_cvtps_epi32(n.part[i]), 23)));
  return p;
}
INLINE Lanes unless(Lanes x, float limit, Lanes value) {
  EACH value.part[i] = _mm256_and_ps(value.part[i], _mm256_cmp_ps(x.part[i], _mm256_set1_ps(limit), _CMP_NLT_UQ));
  return value;
}
#elif defined(LEVEL_NEON)
INLINE Lanes times(Lanes a, Lanes b) {
  EACH a.part[i] = vmulq_f32(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes over(Lanes a, Lanes b) {
  EACH a.part[i] = vdivq_f32(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes largest(Lanes a, Lanes b) {
  EACH a.part[i] = vmaxq_f32(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes least(Lanes a, Lanes b) {
  EACH a.part[i] = vminq_f32(a.part[i], b.part[i]);
  return a;
}
INLINE Lanes raised(Lanes p, Lanes n) {
  EACH p.part[i] = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p.part[i]), vshlq_n_s32(vcvtnq_s32_f32(n.part[i]), 23)));
  return p;
}
INLINE Lanes unless(Lanes x, float limit, Lanes value) {
  EACH value.part[i] = vreinterpretq_f32_u32(
      vbicq_u32(vreinterpretq_u32_f32(value.part[i]), vcltq_f32(x.part[i], vdupq_n_f32(limit))));
  return value;
}
#else
INLINE Lanes times(Lanes a, Lanes b) { return a * b; }
INLINE Lanes over(Lanes a, Lanes b) { return a / b; }
INLINE Lanes largest(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
  return a;
}
INLINE Lanes least(Lanes a, Lanes b) {
  for (int i = 0; i < 16; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
  return a;
}
INLINE Lanes raised(Lanes p, Lanes n) {
  for (int i = 0; i < 16; i++) p[i] = ldexpf(p[i], n[i] == n[i] ? (int)n[i] : 0);
  return p;
}
INLINE Lanes unless(Lanes x, float limit, Lanes value) {
  for (int i = 0; i < 16; i++) value[i] = x[i] < limit ? 0 : value[i];
  return value;
}
#endif

/* In a register, for who takes it twice: a compiler would load it twice, and loads are what is scarce. */
INLINE Lanes held(Lanes v) {
#if defined(LEVEL_AVX512)
  __asm__("" : "+v"(v));
#endif
  return v;
}
INLINE void store(float *to, Lanes v) { memcpy(to, &v, sizeof v); }

/* e^x for x up to 40, within 2 units of the last place; 0 below -86. */
INLINE Lanes exponential(Lanes all) {
  const Lanes x = largest(everywhere(-100), all);
  const Lanes shift = everywhere(0x1.8p23f);
  /* The nearest whole number: the sum has no room for a fraction. */
  const Lanes n = plus(plus(times(x, everywhere(0x1.715476p0f)), shift), everywhere(-0x1.8p23f));
  const Lanes r = fused(n, everywhere(-0x1.7f7d1cp-20f), fused(n, everywhere(-0x1.62e4p-1f), x));
  Lanes p = everywhere(0x1.a0d2cep-13f);
  p = fused(p, r, everywhere(0x1.6e879cp-10f));
  p = fused(p, r, everywhere(0x1.1112dcp-7f));
  p = fused(p, r, everywhere(0x1.555534p-5f));
  p = fused(p, r, everywhere(0x1.555554p-3f));
  p = fused(p, r, everywhere(0.5f));
  p = plus(fused(p, times(r, r), r), everywhere(1));
  return unless(x, -86, raised(p, n));
}
INLINE float exponentialOf(float x) {
  float all[16];
  store(all, exponential(everywhere(x)));
  return all[0];
}

/* The sums of KEYS lanes, each in the order of `sum`. */
#if defined(LEVEL_AVX512)

INLINE void sums(const Lanes v[KEYS], float *to) {
  Lanes eight[8], four[4], two[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    eight[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(v[2 * i], v[2 * i + 1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
#pragma GCC unroll 8
  for (int i = 0; i < 4; i++)
    four[i] = __builtin_shufflevector(eight[2 * i], eight[2 * i + 1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
              __builtin_shufflevector(eight[2 * i], eight[2 * i + 1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
#pragma GCC unroll 8
  for (int i = 0; i < 2; i++)
    two[i] = __builtin_shufflevector(four[2 * i], four[2 * i + 1], 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
             __builtin_shufflevector(four[2 * i], four[2 * i + 1], 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
  store(to, __builtin_shufflevector(two[0], two[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
                __builtin_shufflevector(two[0], two[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31));
}
#else
INLINE v4 quarter(Lanes v) {
#if defined(LEVEL_AVX2)
  const __m256 eight = _mm256_add_ps(v.part[0], v.part[1]);
  return (v4)_mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(LEVEL_NEON)
  return (v4)vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3]));
#else
  v4 four;
  for (int i = 0; i < 4; i++) four[i] = (v[i] + v[i + 8]) + (v[i + 4] + v[i + 12]);
  return four;
#endif
}
INLINE void sums(const Lanes v[KEYS], float *to) {
  v4 four[4], two[2];
#pragma GCC unroll 8
  for (int i = 0; i < 4; i++) four[i] = quarter(v[i]);
#pragma GCC unroll 8
  for (int i = 0; i < 2; i++)
    two[i] = __builtin_shufflevector(four[2 * i], four[2 * i + 1], 0, 1, 4, 5) +
             __builtin_shufflevector(four[2 * i], four[2 * i + 1], 2, 3, 6, 7);
  const v4 all = __builtin_shufflevector(two[0], two[1], 0, 2, 4, 6) + __builtin_shufflevector(two[0], two[1], 1, 3, 5, 7);
  memcpy(to, &all, sizeof all);
}
#endif

/* Products of a query with KEYS keys next to each other. */
INLINE void products(const float *q, const float *k, size_t size, float *to) {
  Lanes total[KEYS];
#pragma GCC unroll 16
  for (int j = 0; j < KEYS; j++) total[j] = everywhere(0);
  for (size_t c = 0; c < size; c += 16) {
    const Lanes value = loadFloat(q + c);
#pragma GCC unroll 16
    for (int j = 0; j < KEYS; j++) total[j] = fused(value, loadFloat(k + j * size + c), total[j]);
  }
  sums(total, to);
}

/* Products of two queries next to each other with half as many keys: what is loaded serves more of them. */
INLINE void productsOfTwo(const float *q, const float *k, size_t size, float *first, float *second) {
  Lanes total[KEYS];
#pragma GCC unroll 16
  for (int j = 0; j < KEYS; j++) total[j] = everywhere(0);
  for (size_t c = 0; c < size; c += 16) {
    const Lanes one = loadFloat(q + c), other = loadFloat(q + size + c);
#pragma GCC unroll 16
    for (int j = 0; j < KEYS / 2; j++) {
      const Lanes of = held(loadFloat(k + j * size + c));
      total[j] = fused(one, of, total[j]);
      total[KEYS / 2 + j] = fused(other, of, total[KEYS / 2 + j]);
    }
  }
  float all[KEYS];
  sums(total, all);
  memcpy(first, all, sizeof all / 2);
  memcpy(second, all + KEYS / 2, sizeof all / 2);
}

/* The same with one key. */
INLINE float product(const float *q, const float *k, size_t size) {
  Lanes total = everywhere(0);
  for (size_t c = 0; c < size; c += 16) total = fused(loadFloat(q + c), loadFloat(k + c), total);
  return sum(total);
}

/* What a query knows so far: its largest score, the sum of its shares, and its values, of even tokens and of odd ones. */
typedef struct {
  float most, shares;
  float values[2][mostSize];
} Query;

/* Products of a query with the keys of tokens t to end. */
INLINE void productsTo(const float *q, const float *k, size_t size, size_t t, size_t end, float *to) {
  for (; t + KEYS <= end; t += KEYS) products(q, k + t * size, size, to + t);
  for (; t < end; t++) to[t] = product(q, k + t * size, size);
}

/* Products of a query with tokens begin to end of a block become shares. */
static __attribute__((noinline)) void share(const Attend *a, size_t begin, size_t end, float *shares, Query *query, size_t size) {
  const size_t first = begin & ~(size_t)15, last = (end + 15) & ~(size_t)15;
  for (size_t t = first; t < last; t += 16) {
    Lanes score = times(loadFloat(shares + t), everywhere(a->scale));
    if (a->cap > 0) {
      /* cap * tanh(score / cap) */
      const Lanes half = least(everywhere(20), largest(everywhere(-20), over(score, everywhere(a->cap))));
      const Lanes e = exponential(plus(half, half));
      score = times(everywhere(a->cap), over(plus(e, everywhere(-1)), plus(e, everywhere(1))));
    }
    store(shares + t, score);
  }
  for (size_t t = first; t < begin; t++) shares[t] = -INFINITY;
  for (size_t t = end; t < last; t++) shares[t] = -INFINITY;
  Lanes most = everywhere(query->most);
  for (size_t t = first; t < last; t += 16) most = largest(loadFloat(shares + t), most);
  float all[16];
  store(all, most);
  float now = all[0];
  for (int i = 1; i < 16; i++) now = all[i] > now ? all[i] : now;
  /* While all scores are -inf, every share is 0, and none is NaN. */
  const float base = now == -INFINITY ? 0 : now;
  const float before = exponentialOf(query->most - base);
  Lanes total = everywhere(0);
  for (size_t t = first; t < last; t += 16) {
    const Lanes e = exponential(plus(loadFloat(shares + t), everywhere(-base)));
    store(shares + t, e);
    total = plus(total, e);
  }
  query->most = now;
  query->shares = query->shares * before + sum(total);
  if (before != 1)
    for (int odd = 0; odd < 2; odd++)
      for (size_t c = 0; c < size; c += 16)
        store(query->values[odd] + c, times(loadFloat(query->values[odd] + c), everywhere(before)));
}

/* Adds the shares of values of tokens begin to end, to some queries, in `wide` pieces of features from c on. */
INLINE void gatherTile(Query *queries, float (*shares)[BLOCK], size_t count, const float *v, size_t size, size_t c, size_t wide,
                       size_t begin, size_t end) {
  Lanes total[2][2][WIDE];
#pragma GCC unroll 4
  for (size_t n = 0; n < count; n++)
#pragma GCC unroll 4
    for (size_t w = 0; w < wide; w++)
#pragma GCC unroll 2
      for (int odd = 0; odd < 2; odd++) total[n][odd][w] = loadFloat(queries[n].values[odd] + c + 16 * w);
#define ADD(t, odd)                                                                                                    \
  _Pragma("GCC unroll 4") for (size_t w = 0; w < wide; w++) {                                                          \
    Lanes value = loadFloat(v + (t) * size + c + 16 * w);                                                              \
    if (count > 1) value = held(value);                                                                                \
    _Pragma("GCC unroll 4") for (size_t n = 0; n < count; n++) total[n][odd][w] = fused(everywhere(shares[n][t]), value, total[n][odd][w]); \
  }
  size_t t = begin;
  if (t < end && t % 2 == 1) {
    ADD(t, 1)
    t++;
  }
  for (; t + 2 <= end; t += 2) {
    ADD(t, 0)
    ADD(t + 1, 1)
  }
  if (t < end) ADD(t, 0)
#undef ADD
#pragma GCC unroll 4
  for (size_t n = 0; n < count; n++)
#pragma GCC unroll 4
    for (size_t w = 0; w < wide; w++)
#pragma GCC unroll 2
      for (int odd = 0; odd < 2; odd++) store(queries[n].values[odd] + c + 16 * w, total[n][odd][w]);
}

INLINE void gather(Query *queries, float (*shares)[BLOCK], size_t count, const float *v, size_t size, size_t begin, size_t end) {
  if (begin >= end) return;
  size_t c = 0;
  for (; c + 16 * WIDE <= size; c += 16 * WIDE) gatherTile(queries, shares, count, v, size, c, WIDE, begin, end);
  for (; c < size; c += 16) gatherTile(queries, shares, count, v, size, c, 1, begin, end);
}

static __attribute__((noinline)) void gatherOne(Query *query, float *shares, const float *v, size_t size, size_t begin, size_t end) {
  gather(query, (float (*)[BLOCK])shares, 1, v, size, begin, end);
}
static __attribute__((noinline)) void gatherTwo(Query *queries, float (*shares)[BLOCK], const float *v, size_t size, size_t begin, size_t end) {
  gather(queries, shares, 2, v, size, begin, end);
}

INLINE size_t within(size_t token, size_t block) {
  return token <= block ? 0 : token - block < BLOCK ? token - block : BLOCK;
}

INLINE void attendOf(const Attend *a, size_t size) {
  Query queries[mostQueries];
  size_t low = a->from[0], high = a->to[0];
  for (size_t n = 0; n < a->queries; n++) {
    queries[n].most = a->sinks == NULL ? -INFINITY : a->sinks[n];
    queries[n].shares = a->sinks == NULL ? 0 : 1;
    memset(queries[n].values[0], 0, size * sizeof(float));
    memset(queries[n].values[1], 0, size * sizeof(float));
    if (a->from[n] < low) low = a->from[n];
    if (a->to[n] > high) high = a->to[n];
  }
  const size_t blocks = TOGETHER / (size * sizeof(float)) / BLOCK, together = (blocks > 0 ? blocks : 1) * BLOCK;
  size_t loaded = low;
  for (size_t block = low - low % BLOCK; block < high; block += BLOCK) {
    const float *k = a->k + block * size, *v = a->v + block * size;
    if (block >= loaded || loaded == low) {
      const size_t end = high - block < together ? high : block + together;
      bring(a->k + loaded * size, (end - loaded) * size * sizeof(float));
      bring(a->v + loaded * size, (end - loaded) * size * sizeof(float));
      loaded = end;
    }
    for (size_t n = 0; n < a->queries; n += 2) {
      float shares[2][BLOCK];
      size_t begin[2] = {0}, end[2] = {0};
      const size_t count = a->queries - n < 2 ? 1 : 2;
      for (size_t i = 0; i < count; i++) {
        begin[i] = within(a->from[n + i], block), end[i] = within(a->to[n + i], block);
        if (begin[i] >= end[i]) begin[i] = end[i] = 0;
      }
      /* Tokens that both see are read once. */
      const size_t both = begin[0] > begin[1] ? begin[0] : begin[1], to = end[0] < end[1] ? end[0] : end[1];
      const float *q = a->q + n * size;
      size_t t = (begin[0] < begin[1] ? begin[0] : begin[1]) & ~(size_t)15;
      for (; t + KEYS / 2 <= to; t += KEYS / 2) productsOfTwo(q, k + t * size, size, shares[0] + t, shares[1] + t);
      for (size_t i = 0; i < count; i++) {
        if (begin[i] == end[i]) continue;
        const size_t rest = t > begin[i] ? t : begin[i] & ~(size_t)15;
        productsTo(q + i * size, k, size, rest, end[i], shares[i]);
        share(a, begin[i], end[i], shares[i], &queries[n + i], size);
      }
      if (both < to) {
        for (size_t i = 0; i < 2; i++) gatherOne(&queries[n + i], shares[i], v, size, begin[i], both);
        gatherTwo(&queries[n], shares, v, size, both, to);
        for (size_t i = 0; i < 2; i++) gatherOne(&queries[n + i], shares[i], v, size, to, end[i]);
      } else
        for (size_t i = 0; i < count; i++) gatherOne(&queries[n + i], shares[i], v, size, begin[i], end[i]);
    }
  }
  for (size_t n = 0; n < a->queries; n++)
    for (size_t c = 0; c < size; c += 16)
      store(a->out[n] + c, over(plus(loadFloat(queries[n].values[0] + c), loadFloat(queries[n].values[1] + c)), everywhere(queries[n].shares)));
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

void JOIN(attend, LEVEL)(const Attend *a) {
  /* Sizes that the compiler knows: places of keys are parts of instructions. */
  switch (a->size) {
    case 64: attendOf(a, 64); break;
    case 128: attendOf(a, 128); break;
    default: attendOf(a, a->size);
  }
}
