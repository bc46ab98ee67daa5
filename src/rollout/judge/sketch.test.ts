import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binsOfFactor, LatencySketch, quantileOf, relativeError, sketchSchema, totalOf } from './sketch.ts';

const sketchOf = (values: readonly number[]): LatencySketch => {
  const sketch = new LatencySketch();
  for (const value of values) sketch.add(value);
  return sketch;
};
const plain = ({ first, counts }: LatencySketch) => ({ first, counts });
const latencies = fc.array(fc.double({ min: 0.01, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('latency sketch', () => {
  it('answers every quantile within its relative error', () => {
    fc.assert(
      fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const exact = values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? 0;
        const found = quantileOf(sketchOf(values), q) ?? 0;
        expect(Math.abs(found - exact) / exact).toBeLessThanOrEqual(relativeError + 1e-9);
      }),
    );
  });

  it('is the same whether values are added to one sketch or to several that are merged', () => {
    fc.assert(
      fc.property(latencies, latencies, (a, b) => {
        const merged = sketchOf(a);
        merged.merge(sketchOf(b));
        expect(plain(merged)).toEqual(plain(sketchOf([...a, ...b])));
      }),
    );
  });

  it('is bounded: absurd latencies count as the nearest that it knows', () => {
    const sketch = sketchOf([0, -5, 1e-9, Number.NaN, 1e300, Infinity]);
    expect(totalOf(sketch)).toBe(6);
    expect(sketch.counts).toHaveLength(576);
    expect(sketchSchema.safeParse(plain(sketch)).success).toBe(true);
    expect(sketchSchema.safeParse({ first: sketch.first, counts: [...sketch.counts, 0] }).success).toBe(
      false,
    );
  });

  it('has no quantile without values', () => {
    expect(quantileOf(new LatencySketch(), 0.5)).toBeUndefined();
  });

  it('knows how many bins a factor is: the same factor shifts every value by as many', () => {
    const bins = binsOfFactor(1.5);
    for (const ms of [0.3, 7, 120, 4000]) {
      const shift = sketchOf([ms * 1.5]).first - sketchOf([ms]).first;
      expect(Math.abs(shift - bins)).toBeLessThanOrEqual(1);
    }
    expect(binsOfFactor(1)).toBe(0);
  });
});
