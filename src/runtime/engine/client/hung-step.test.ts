import { expect, it } from 'vitest';
import { stepLimitMs } from './hung-step.ts';

it('a step may take twenty times what it should, and the stall timeout whatever it should', () => {
  expect(stepLimitMs({ ageMs: 0, expectedMs: 50 }, 30_000)).toBe(30_000);
  expect(stepLimitMs({ ageMs: 0, expectedMs: 2_000 }, 30_000)).toBe(40_000);
});

it('the first step, which nothing is known of, may take twenty stall timeouts', () => {
  expect(stepLimitMs({ ageMs: 0 }, 30_000)).toBe(600_000);
});
