import { expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

const delays = { firstMs: 250, maxMs: 30_000 };

it('doubles from the first to the longest', () => {
  expect([1, 2, 3, 8, 1000].map((failures) => backoffMs(failures, () => 0, delays))).toEqual([
    250, 500, 1000, 30_000, 30_000,
  ]);
});

it('takes off less than half at random', () => {
  expect(backoffMs(1, () => 0.5, delays)).toBe(187.5);
  expect(backoffMs(1, () => 1 - Number.EPSILON, delays)).toBeGreaterThan(125);
});
