import { expect, it } from 'vitest';
import { normalTail, studentTail } from './normal.ts';

it('agrees with published quantiles of the normal distribution', () => {
  for (const [z, tail] of [
    [0, 0.5],
    [1.281552, 0.1],
    [1.644854, 0.05],
    [1.959964, 0.025],
    [3, 0.001349898],
    [5, 2.866516e-7],
  ] as const) {
    expect(Math.abs(normalTail(z) / tail - 1)).toBeLessThan(2e-6);
    expect(normalTail(-z)).toBeCloseTo(1 - tail, 6);
  }
});

it('agrees with published quantiles of Student t, and with the normal one for many degrees of freedom', () => {
  for (const [t, freedom, tail] of [
    [2.228, 10, 0.025],
    [2.042, 30, 0.025],
    [3.169, 10, 0.005],
  ] as const) {
    // On the careful side: p is never too small.
    expect(studentTail(t, freedom) / tail).toBeGreaterThan(0.998);
    expect(studentTail(t, freedom) / tail).toBeLessThan(1.2);
  }
  expect(studentTail(2, 1e9)).toBeCloseTo(normalTail(2), 8);
});
