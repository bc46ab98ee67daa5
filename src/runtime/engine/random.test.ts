import { describe, expect, it } from 'vitest';
import { seededRandom } from './random.ts';

const take = (seed: number, count: number): number[] => Array.from({ length: count }, seededRandom(seed));

describe('seeded random numbers', () => {
  it('are the same for the same seed and differ between seeds, also between close and large ones', () => {
    expect(take(7, 50)).toEqual(take(7, 50));
    const firsts = [0, 1, 1.5, 2, -1, 2 ** 32, 2 ** 40].map((seed) => take(seed, 1)[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });

  it('lie in [0, 1) and spread evenly', () => {
    const bins = Array<number>(10).fill(0);
    for (const value of take(3, 10_000)) {
      expect(value).toBeGreaterThanOrEqual(0);
      bins[Math.floor(value * 10)]! += 1;
    }
    for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
