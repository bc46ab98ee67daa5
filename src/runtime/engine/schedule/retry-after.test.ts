import { expect, test } from 'vitest';
import { retryAfterMs } from './retry-after.ts';

test.each([
  ['the time that those who wait need at the rate of late', 10, 4, 2_500],
  ['never less than a quarter of a second', 1, 100, 250],
  ['never more than half a minute', 1_000, 1, 30_000],
  ['half a minute when nothing ended of late', 3, 0, 30_000],
  ['a second when the rate is unknown', 3, undefined, 1000],
  ['a quarter of a second when nobody waits', 0, 2, 250],
])('a retry is worth while after %s', (_, waiting, rate, ms) => {
  expect(retryAfterMs(waiting, rate)).toBe(ms);
});
