import { expect, it } from 'vitest';
import { stepLimitMs } from './hung-step.ts';

it('a step may take twenty times what it should, and the stall timeout whatever it should', () => {
  expect(stepLimitMs({ ageMs: 0, expectedMs: 50 }, 30_000)).toBe(30_000);
  expect(stepLimitMs({ ageMs: 0, expectedMs: 2_000 }, 30_000)).toBe(40_000);
});

it('no step may take longer than the first, unless others like it took a third of that', () => {
  // A row that took 3 s when the weights came from the disk, fifteen of them.
  expect(stepLimitMs({ ageMs: 0, expectedMs: 45_000 }, 30_000)).toBe(600_000);
  // 128 tokens of 3 thousand million weights on four slow cores, and a batch of long texts there.
  expect(stepLimitMs({ ageMs: 0, expectedMs: 96_000 }, 30_000)).toBe(600_000);
  expect(stepLimitMs({ ageMs: 0, expectedMs: 500_000 }, 30_000)).toBe(1_500_000);
});

it('the first step, which nothing is known of, may take twenty stall timeouts', () => {
  expect(stepLimitMs({ ageMs: 0 }, 30_000)).toBe(600_000);
});
