import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bandwidth, type BandwidthPlan } from './bandwidth.ts';
import { FakeClock } from './fake-clock.ts';

const never = new AbortController().signal;
const at = (time: string): number => Date.parse(`2026-07-01T${time}Z`);
const nothing = (): void => undefined;
const night: BandwidthPlan = {
  windows: [
    { from: 22 * 60, to: 6 * 60, bytesPerSecond: 1000 },
    { from: 12 * 60, to: 13 * 60, bytesPerSecond: 0 },
  ],
  otherwise: 10,
  timeZone: 'UTC',
};

/** Lets what waits come to its next wait. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

const rateAt = (time: string, plan: Partial<BandwidthPlan> = {}): number => {
  const clock = new FakeClock();
  clock.set(at(time));
  return new Bandwidth({ ...night, ...plan }, clock).bytesPerSecond;
};

describe('the bandwidth of a time of the day', () => {
  it.each([
    ['21:59', 10],
    ['22:00', 1000],
    ['23:59', 1000],
    ['00:00', 1000],
    ['05:59', 1000],
    ['06:00', 10],
    ['12:30', 0],
    ['13:00', 10],
  ])('is at %s %d', (time, rate) => {
    expect(rateAt(time)).toBe(rate);
  });

  it('is that of the time zone, in summer as in winter', () => {
    expect(rateAt('20:30', { timeZone: 'Europe/Berlin' })).toBe(1000);
    expect(rateAt('19:30', { timeZone: 'Europe/Berlin' })).toBe(10);
    const clock = new FakeClock();
    clock.set(Date.parse('2026-01-01T21:30Z'));
    expect(new Bandwidth({ ...night, timeZone: 'Europe/Berlin' }, clock).bytesPerSecond).toBe(1000);
  });

  it('is that of the first window that fits, and a window from a time to itself is the whole day', () => {
    const windows = [
      { from: 0, to: 0, bytesPerSecond: 7 },
      { from: 0, to: 60, bytesPerSecond: 8 },
    ];
    expect(rateAt('00:30', { windows })).toBe(7);
  });
});

describe('what is downloaded', () => {
  it('waits while nothing may be, says that it is alive, and goes on at the end of the window', async () => {
    const clock = new FakeClock();
    clock.set(at('12:59'));
    const bandwidth = new Bandwidth(night, clock);
    let signs = 0;
    let isOpen = false;
    void bandwidth.open(never, () => void signs++).then(() => (isOpen = true));
    for (let second = 0; second < 59; second++) {
      clock.advance(1000);
      await turns();
    }
    expect([isOpen, signs >= 10]).toEqual([false, true]);
    clock.advance(6000);
    await turns();
    expect(isOpen).toBe(true);
  });

  it('does not wait where there is no limit', async () => {
    const clock = new FakeClock();
    const bandwidth = new Bandwidth({ windows: [], otherwise: Infinity, timeZone: 'UTC' }, clock);
    await bandwidth.take(1e12, never, nothing);
  });

  it('ends its wait with the signal', async () => {
    const stop = new AbortController();
    const taking = new Bandwidth(night, new FakeClock(at('15:00'))).take(1e6, stop.signal, nothing);
    stop.abort(new Error('enough'));
    await expect(taking).rejects.toThrow('enough');
  });

  it('is never more than the limits of a time allow, however many download', async () => {
    const take = fc.record({ who: fc.nat(4), bytes: fc.integer({ min: 1, max: 5000 }) });
    const start = fc.integer({ min: 0, max: 24 * 60 - 1 });
    await fc.assert(
      fc.asyncProperty(fc.array(take, { minLength: 1, maxLength: 30 }), start, async (takes, minute) => {
        const clock = new FakeClock();
        clock.set(at('00:00') + minute * 60_000);
        const bandwidth = new Bandwidth(night, clock);
        let through = 0;
        const workers = [0, 1, 2, 3, 4].map(async (me) => {
          for (const { bytes } of takes.filter(({ who }) => who === me)) {
            await bandwidth.take(bytes, never, nothing);
            through += bytes;
          }
        });
        let allowed = 0;
        for (let second = 0; second < 600; second++) {
          await turns();
          // A rate that a window raised holds for the second that was begun with it.
          const rates = [bandwidth.bytesPerSecond];
          clock.advance(1000);
          rates.push(bandwidth.bytesPerSecond);
          allowed += Math.max(...rates);
          await turns();
          expect(through).toBeLessThanOrEqual(allowed + 5 * Math.max(...rates, 10) + 5);
        }
        void workers;
      }),
      { numRuns: 30 },
    );
  });
});
