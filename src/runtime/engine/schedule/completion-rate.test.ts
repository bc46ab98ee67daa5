import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { CompletionRate, retryAfterMs } from './completion-rate.ts';

const start = () => {
  const clock = new FakeClock();
  const rate = new CompletionRate(clock);
  /** Requests end one after the other, so many milliseconds apart. */
  const end = (count: number, apart: number): void => {
    for (let ended = 0; ended < count; ended += 1) {
      rate.count();
      clock.advance(apart);
    }
  };
  return { clock, rate, end };
};

describe('the rate at which requests end', () => {
  it('is unknown before two ended, and while no time has passed', () => {
    const { clock, rate } = start();
    expect(rate.perSecond).toBeUndefined();
    rate.count();
    clock.advance(1000);
    expect(rate.perSecond).toBeUndefined();
    rate.count();
    expect(rate.perSecond).toBe(1);
    const together = start();
    together.end(3, 0);
    expect(together.rate.perSecond).toBeUndefined();
  });

  it('is that of the latest 32', () => {
    const { rate, end } = start();
    end(10, 10_000);
    end(32, 100);
    expect(rate.perSecond).toBeCloseTo(31 / 3.2);
  });

  it('falls while nothing ends', () => {
    const { clock, rate, end } = start();
    end(11, 100);
    expect(rate.perSecond).toBeCloseTo(10 / 1.1);
    clock.advance(98_900);
    expect(rate.perSecond).toBeCloseTo(0.1);
  });
});

it.each([
  ['the time that those who wait need at the rate of late', 10, 4, 2_500],
  ['never less than a quarter of a second', 1, 100, 250],
  ['never more than half a minute', 1_000, 1, 30_000],
  ['half a minute when nothing ended of late', 3, 0, 30_000],
  ['a second when the rate is unknown', 3, undefined, 1000],
  ['a quarter of a second when nobody waits', 0, 2, 250],
])('a retry is worth while after %s', (_, waiting, rate, ms) => {
  expect(retryAfterMs(waiting, rate)).toBe(ms);
});
