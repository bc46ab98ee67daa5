import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sampling } from '../engine.ts';
import { seededRandom } from '../random.ts';
import { Choice } from './choice.ts';
import { takenLogprob } from './logprobs.ts';
import { checkSampling, makeSampler } from './sampling.ts';

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

  it.each([5, 6, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])('leaves all with a k of %d', (topK) => {
    expect(shares({ ...all, topK, temperature: 5 }).every((share) => share > 0)).toBe(true);
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
    const choice = new Choice();
    for (const sampling of options) {
      const draw = (): number => makeSampler(sampling, () => 0.5, { promptIds: seen, choice })(wide);
      expect(draw()).toBe(draw());
      takenLogprob(wide, 1, { top: 20, describe: (id) => ({ token: String(id) }), choice });
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
    const choice = new Choice();
    fc.assert(
      fc.property(logitsOf, options, fc.double({ min: 0, max: 0.999, noNaN: true }), (list, sampling, at) => {
        // Weights are float32.
        const least = reference(list, sampling, at, 1 - 2e-5);
        const most = reference(list, sampling, at, 1 + 2e-5);
        const drawn = makeSampler(sampling, () => at, { choice })(list);
        expect(most.order.indexOf(drawn)).toBeGreaterThanOrEqual(least.drawn);
        expect(most.order.indexOf(drawn)).toBeLessThanOrEqual(most.drawn);
        choice.take(list);
        const kept = choice.left(choice.likeliest(), sampling);
        expect(kept.length).toBeGreaterThanOrEqual(least.kept);
        expect(kept.length).toBeLessThanOrEqual(most.kept);
        expect(kept).toEqual(most.order.slice(0, kept.length));
      }),
      { numRuns: 500 },
    );
  });

  it('ranks what the model gave as sorting everything would', () => {
    const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 3000 });
    const choice = new Choice();
    const describe_ = (id: number) => ({ token: String(id) });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 30 }), (list, top) => {
        const array = Float32Array.from(list);
        const taken = takenLogprob(array, 0, { top, describe: describe_, choice });
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
      choice: new Choice(),
    };
    expect(takenLogprob(list, 0, parts).top.map((one) => one.id)).toEqual(top);
    const drawn = (at: number) => makeSampler({ ...all, topK: 3 }, () => at)(list);
    expect(new Set([0, 0.3, 0.6, 0.9].map(drawn))).toEqual(new Set(top));
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
