import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sampling } from '../engine.ts';
import { seededRandom } from '../random.ts';
import { Candidates } from './candidates.ts';
import { expOfMinus } from './exp.ts';
import { takenLogprob } from './logprobs.ts';
import { checkSampling, filter, makeSampler } from './sampling.ts';

const logits = Float32Array.from([0, 3, 1, 2, -5]);
const all = { temperature: 1, topK: 0, topP: 1 };

/** How often each token is drawn. */
const shares = (sampling: typeof all, count = 4000): number[] => {
  const sampler = makeSampler(sampling, seededRandom(5));
  const drawn = Array<number>(logits.length).fill(0);
  for (let draw = 0; draw < count; draw += 1) drawn[sampler(logits)]! += 1 / count;
  return drawn;
};

const softmax = (values: readonly number[]): number[] => {
  const weights = values.map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
};

/** Likeliest first; of equals the lower id. */
const ordered = (list: Float32Array): readonly number[] =>
  [...list.keys()].sort((a, b) => list[b]! - list[a]! || a - b);

/**
 * What sorting gives: how many are kept, and the place of the one that is drawn. `times`: of every bound, to tell how
 * far rounding may move it.
 */
const reference = (list: Float32Array, sampling: Sampling, at: number, times: number) => {
  const { temperature, topK, topP, minP = 0 } = sampling;
  const order = ordered(list);
  const weights = order.map((id) => Math.exp((list[id]! - list[order[0]!]!) / temperature));
  const prefix = (target: number, of: readonly number[], strictly: boolean): number => {
    let sum = 0;
    const place = of.findIndex((weight) => (sum += weight) > target || (!strictly && sum === target));
    return place < 0 ? of.length - 1 : place;
  };
  const sum = (of: readonly number[]): number => of.reduce((total, weight) => total + weight, 0);
  const ranked = topK === 0 ? weights : weights.slice(0, topK);
  const held = topP === 1 ? ranked : ranked.slice(0, 1 + prefix(topP * sum(ranked) * times, ranked, false));
  const kept = minP === 0 ? held : held.filter((weight) => weight * times >= minP);
  return { order, kept: kept.length, drawn: prefix(at * sum(kept) * times, kept, true) };
};

describe('sampling', () => {
  it('is greedy at temperature 0, the first of equals', () => {
    const greedy = makeSampler({ ...all, temperature: 0 }, () => 0.99);
    expect(greedy(logits)).toBe(1);
    expect(greedy(Float32Array.from([2, 7, 7]))).toBe(1);
  });

  it('draws each token as often as its probability says', () => {
    const expected = softmax([...logits]);
    for (const [id, share] of shares(all).entries())
      expect(Math.abs(share - expected[id]!)).toBeLessThan(0.03);
  });

  it('draws flatter when hot and sharper when cold', () => {
    const [hot, cold] = [shares({ ...all, temperature: 5 }), shares({ ...all, temperature: 0.2 })];
    expect(hot[1]).toBeLessThan(0.5);
    expect(cold[1]).toBeGreaterThan(0.98);
  });

  it('keeps to the k likeliest', () => {
    const drawn = shares({ ...all, topK: 2, temperature: 3 });
    expect(drawn.map((share) => share > 0)).toEqual([false, true, false, true, false]);
    expect(shares({ ...all, topK: 1, temperature: 100 })[1]).toBeCloseTo(1);
  });

  it('keeps to the fewest tokens that hold p of the probability, the one that crosses it included', () => {
    const [p1 = 0, p2 = 0] = softmax([...logits]).toSorted((a, b) => b - a);
    expect(shares({ ...all, topP: p1 - 0.01 })[1]).toBeCloseTo(1);
    const two = shares({ ...all, topP: p1 + p2 / 2 });
    expect(two.map((share) => share > 0)).toEqual([false, true, false, true, false]);
  });

  it('applies top-p within what top-k left', () => {
    const drawn = shares({ temperature: 1, topK: 2, topP: 0.5 });
    expect(drawn[1]).toBeCloseTo(1);
  });

  it('gives the same tokens for the same seed', () => {
    const values = Float32Array.from({ length: 500 }, (_, index) => Math.sin(index * 7));
    const draw = (seed: number): number[] => {
      const sampler = makeSampler({ temperature: 0.8, topK: 50, topP: 0.9 }, seededRandom(seed));
      return Array.from({ length: 30 }, () => sampler(values));
    };
    expect(draw(11)).toEqual(draw(11));
    expect(draw(11)).not.toEqual(draw(12));
  });

  it.each([
    ['flat', (id: number) => 8 + 0.01 * Math.sin(id)],
    ['all alike', () => 1],
    ['rising with the id', (id: number) => id / 20_000],
  ])('takes a moment for every option at 262,144 tokens with logits that are %s', (_, logit) => {
    const wide = Float32Array.from({ length: 262_144 }, (__, id) => logit(id));
    const seen = Array.from({ length: 131_072 }, (__, at) => at * 2);
    const options: readonly Sampling[] = [
      all,
      ...[40, 30_000, 100_000, 262_143].map((topK) => ({ ...all, topK })),
      ...[0.5, 0.9, 0.999999].map((topP) => ({ ...all, topP })),
      { ...all, minP: 1e-6 },
      { ...all, repetitionPenalty: 1.5, frequencyPenalty: 1, presencePenalty: 1 },
      { temperature: 2, topK: 262_143, topP: 0.999999, minP: 1e-9, repetitionPenalty: 1.5 },
    ];
    const candidates = new Candidates();
    for (const sampling of options) {
      const draw = (): number => makeSampler(sampling, () => 0.5, { promptIds: seen, candidates })(wide);
      expect(draw()).toBe(draw());
      takenLogprob(wide, 1, { top: 20, describe: (id) => ({ token: String(id) }), candidates });
    }
  });

  it('keeps and draws what sorting everything would', () => {
    const value = fc.oneof(
      fc.float({ min: -20, max: 20, noNaN: true }),
      fc.integer({ min: -3, max: 3 }),
      fc.constantFrom(0, -0, 1e-30, -1e-30),
    );
    const logitsOf = fc
      .tuple(fc.array(value, { minLength: 1, maxLength: 60 }), fc.constantFrom(1, 2, 40))
      .map(([values, times]) => Float32Array.from(Array.from({ length: times }, () => values).flat()));
    const options = fc.record({
      temperature: fc.double({ min: 0.01, max: 10, noNaN: true }),
      topK: fc.oneof(fc.nat(8), fc.nat(2500)),
      topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 1, noNaN: true })),
      minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
    });
    const candidates = new Candidates();
    fc.assert(
      fc.property(logitsOf, options, fc.double({ min: 0, max: 0.999, noNaN: true }), (list, sampling, at) => {
        const least = reference(list, sampling, at, 1 - 1e-9);
        const most = reference(list, sampling, at, 1 + 1e-9);
        const drawn = makeSampler(sampling, () => at, { candidates })(list);
        if (sampling.topK === 0 && sampling.topP === 1) {
          // Drawn in the order of the ids: one of those that are kept.
          expect(most.order.indexOf(drawn)).toBeLessThan(most.kept);
          return;
        }
        expect(most.order.indexOf(drawn)).toBeGreaterThanOrEqual(least.drawn);
        expect(most.order.indexOf(drawn)).toBeLessThanOrEqual(most.drawn);
        filter(list, sampling, Math.max(...list), candidates);
        const kept = [...candidates];
        expect(kept.length).toBeGreaterThanOrEqual(least.kept);
        expect(kept.length).toBeLessThanOrEqual(most.kept);
        const beginning = most.order.slice(0, kept.length).toSorted((a, b) => a - b);
        expect(kept.map(({ id }) => id)).toEqual(beginning);
        for (const { id, weight } of kept) {
          const exact = Math.exp((list[id]! - Math.max(...list)) / sampling.temperature);
          // The smallest numbers have fewer places.
          expect(Math.abs(weight - exact)).toBeLessThanOrEqual(1e-12 * exact + 1e-310);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('draws by min_p alone as often as the weights of those that are kept say', () => {
    const values = fc.array(
      fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float({ min: -9, max: 9, noNaN: true })),
      {
        minLength: 1,
        maxLength: 300,
      },
    );
    const share = fc.double({ min: 0, max: 0.999, noNaN: true });
    const minP = fc.oneof(fc.constantFrom(1e-300, 1), fc.double({ min: 1e-9, max: 1, noNaN: true }));
    fc.assert(
      fc.property(
        values,
        fc.double({ min: 0.01, max: 10, noNaN: true }),
        minP,
        share,
        (given, temperature, least, at) => {
          const list = Float32Array.from(given);
          const top = Math.max(...list);
          /** With bounds that rounding may move: the place where the sum passes. */
          const place = (times: number): number => {
            const weights = [...list].map((logit) => Math.exp((logit - top) / temperature));
            const kept = weights.map((weight) => (weight >= least * times ? weight : 0));
            const target = at * kept.reduce((sum, weight) => sum + weight, 0) * times;
            let sum = 0;
            return kept.findIndex((weight) => (sum += weight) > target);
          };
          const drawn = makeSampler({ temperature, topK: 0, topP: 1, minP: least }, () => at)(list);
          const ends = [place(1 - 1e-9), place(1), place(1 + 1e-9)];
          expect(drawn).toBeGreaterThanOrEqual(Math.min(...ends));
          expect(drawn).toBeLessThanOrEqual(Math.max(...ends));
          expect(Math.exp((list[drawn]! - top) / temperature)).toBeGreaterThanOrEqual(least * (1 - 1e-9));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('ranks what the model gave as sorting everything would', () => {
    const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 3000 });
    const candidates = new Candidates();
    const describe_ = (id: number) => ({ token: String(id) });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 30 }), (list, top) => {
        const array = Float32Array.from(list);
        const taken = takenLogprob(array, 0, { top, describe: describe_, candidates });
        expect(taken.top.map(({ id }) => id)).toEqual(ordered(array).slice(0, top));
      }),
    );
  });

  it.each([
    ['where all are alike', 2400, 1, [0, 1, 2]],
    ['where the last is larger, behind the blocks that are looked through first', 2399, 2, [2399, 0, 1]],
    ['where one of a block is larger', 1200, 2, [1200, 0, 1]],
  ] as const)('ranks the first of equals first, %s', (_, id, logit, top) => {
    const list = new Float32Array(2400).fill(1);
    if (id < list.length) list[id] = logit;
    const parts = {
      top: 3,
      describe: (one: number) => ({ token: String(one) }),
      candidates: new Candidates(),
    };
    expect(takenLogprob(list, 0, parts).top.map((one) => one.id)).toEqual(top);
    const drawn = (at: number) => makeSampler({ ...all, topK: 3 }, () => at)(list);
    expect(new Set([0, 0.3, 0.6, 0.9].map(drawn))).toEqual(new Set(top));
  });

  it('has exponentials that are right to the last places, down to nothing', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 700, noNaN: true }), (x) => {
        expect(Math.abs(expOfMinus(x) / Math.exp(-x) - 1)).toBeLessThan(1e-15);
      }),
    );
    for (const x of [745, 746, 1e300, Infinity]) expect(expOfMinus(x)).toBeCloseTo(Math.exp(-x), 300);
    expect(expOfMinus(0)).toBe(1);
  });

  it('keeps logits that penalties change finite', () => {
    const sampling = { ...all, repetitionPenalty: 1e-45, topK: 2 };
    expect(makeSampler(sampling, () => 0, { promptIds: [0, 1, 2, 3, 4] })(logits)).toBe(1);
  });

  it.each([[NaN], [Infinity], [-Infinity]])('ends with LOGITS_NOT_FINITE when a logit is %d', (bad) => {
    const broken = Float32Array.from([1, bad, 2]);
    for (const temperature of [0, 1]) {
      const sampler = makeSampler({ ...all, temperature }, () => 0.5);
      expect(() => sampler(broken)).toThrow(expect.objectContaining({ code: 'LOGITS_NOT_FINITE' }));
    }
    expect(() => makeSampler(all, () => 0)(new Float32Array(0))).toThrow(/NaN or infinite/);
  });

  it.each([
    ['temperature', { ...all, temperature: -1 }],
    ['temperature', { ...all, temperature: NaN }],
    ['top_p', { ...all, topP: 0 }],
    ['top_p', { ...all, topP: 1.1 }],
    ['top_k', { ...all, topK: 1.5 }],
    ['top_k', { ...all, topK: -1 }],
    ['seed', { ...all, seed: Infinity }],
  ])('refuses a %s out of range by name', (field, sampling) => {
    expect(() => checkSampling(sampling)).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringContaining(field) }),
    );
  });
});
