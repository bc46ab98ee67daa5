import { describe, expect, it } from 'vitest';
import { oneSidedBoundary, studentised, twoSidedBoundary } from './boundary.ts';
import { seededRandom } from './judge.fixture.ts';

const look = { alpha: 0.05, size: 500, tightestAt: 500 };
const sizes = Array.from({ length: 200 }, (_, i) => 1.05 ** i * 5);

/** P(Z < z) by Abramowitz and Stegun 26.2.17, independent of the code under test. */
const normalCdf = (z: number): number => {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const poly =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const upper = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
  return z >= 0 ? 1 - upper : upper;
};

describe('boundary', () => {
  it('is 2.779 standard errors for one side and 3.035 for two where it is closest (calculated by hand)', () => {
    expect(oneSidedBoundary(look)).toBeCloseTo(2.7791, 4);
    expect(twoSidedBoundary(look)).toBeCloseTo(3.0352, 4);
  });

  it('is closest at the size that was asked for', () => {
    const closest = (boundary: typeof twoSidedBoundary): number =>
      sizes.toSorted((a, b) => boundary({ ...look, size: a }) - boundary({ ...look, size: b }))[0] ?? 0;
    expect(closest(twoSidedBoundary) / 500).toBeCloseTo(1, 1);
    // The one-sided choice of rho is approximate; the valley is flat.
    const best = oneSidedBoundary({ ...look, size: closest(oneSidedBoundary) });
    expect(oneSidedBoundary(look) / best).toBeLessThan(1.005);
  });

  it('is where the mixture martingale reaches 1 / alpha: exactly for two sides, just above for one', () => {
    for (const alpha of [0.01, 0.05])
      for (const size of sizes) {
        const information = (a: number): number => -2 * Math.log(a) + Math.log(1 - 2 * Math.log(a));
        const two = (information(alpha) * size) / 500;
        const z2 = twoSidedBoundary({ alpha, size, tightestAt: 500 });
        expect((Math.exp((z2 ** 2 * two) / (2 * (two + 1))) / Math.sqrt(two + 1)) * alpha).toBeCloseTo(1, 9);
        const one = (information(2 * alpha) * size) / 500;
        const z1 = oneSidedBoundary({ alpha, size, tightestAt: 500 });
        const half =
          (2 / Math.sqrt(one + 1)) *
          Math.exp((z1 ** 2 * one) / (2 * (one + 1))) *
          normalCdf(z1 * Math.sqrt(one / (one + 1)));
        expect(half * alpha).toBeGreaterThanOrEqual(1);
        expect(half * alpha).toBeLessThan(1.15);
      }
  });

  it('is crossed by fewer than alpha of random walks at any of 2,000 looks, where 1.645 is by most', () => {
    const random = seededRandom(7);
    const walks = 400;
    let crossed = 0;
    let naive = 0;
    for (let walk = 0; walk < walks; walk += 1) {
      let sum = 0;
      let [hit, hitNaive] = [false, false];
      for (let size = 1; size <= 2000; size += 1) {
        sum += Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
        const z = sum / Math.sqrt(size);
        hit ||= z > oneSidedBoundary({ alpha: 0.05, size, tightestAt: 500 });
        hitNaive ||= z > 1.645;
      }
      crossed += hit ? 1 : 0;
      naive += hitNaive ? 1 : 0;
    }
    expect(crossed / walks).toBeLessThanOrEqual(0.05);
    expect(naive / walks).toBeGreaterThan(0.3);
  });
});

describe('studentised boundary', () => {
  it('is the quantile of Student t with the same chance, as published', () => {
    // One-sided 2.5 % and 0.1 %: Fisher and Yates, table III.
    for (const [z, freedom, t] of [
      [1.959964, 10, 2.228],
      [1.959964, 30, 2.042],
      [3.090232, 10, 4.144],
      [3.090232, 60, 3.232],
    ] as const)
      expect(Math.abs(studentised(z, freedom) / t - 1)).toBeLessThan(0.015);
  });
});
