import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
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

  it('finds the same candidates as sorting everything would', () => {
    const values = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 60 });
    const range = fc.record({
      topK: fc.nat(70),
      topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
      at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    });
    fc.assert(
      fc.property(values, range, (list, { topK, topP, at }) => {
        const array = Float32Array.from(list);
        const drawn = makeSampler({ temperature: 1, topK, topP }, () => at)(array);
        const kept = [...array].sort((a, b) => b - a).slice(0, topK === 0 ? array.length : topK);
        const probabilities = softmax(kept);
        const probability = Math.exp(array[drawn]! - kept[0]!) * probabilities[0]!;
        // Logits that differ can have one probability, beyond what numbers can tell apart.
        expect(array[drawn]!).toBeGreaterThanOrEqual(kept.at(-1)!);
        const likelier = probabilities.filter((other) => other > probability * (1 + 1e-9));
        // Everything likelier than the drawn token together does not fill top-p.
        expect(likelier.reduce((sum, other) => sum + other, 0)).toBeLessThanOrEqual(topP + 1e-6);
      }),
    );
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
