import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import { Spread } from './spread.ts';

const rate = { perSecond: 10, burst: 3 };

it('gives places at once while there are some, then one after the other', () => {
  const spread = new Spread(new FakeClock(), rate);
  expect(['a', 'b', 'c', 'd', 'e'].map((key) => spread.delayOf(key))).toEqual([0, 0, 0, 100, 200]);
});

it('keeps a place that is to come, and gives another one after it', () => {
  const clock = new FakeClock();
  const spread = new Spread(clock, rate);
  for (const key of ['a', 'b', 'c', 'd', 'e']) spread.delayOf(key);
  clock.advance(50);
  expect([spread.delayOf('e'), spread.delayOf('e'), spread.delayOf('d')]).toEqual([150, 150, 50]);
  clock.advance(150);
  expect([spread.delayOf('e'), spread.delayOf('d')]).toEqual([100, 200]);
});

it('whoever asks how often: no more places than the rate in any time, and nobody waits for more than the others', () => {
  const asks = fc.array(fc.record({ key: fc.nat(30), afterMs: fc.nat(300) }), { maxLength: 200 });
  fc.assert(
    fc.property(asks, (all) => {
      const clock = new FakeClock();
      const spread = new Spread(clock, rate);
      const places = new Map<string, number>();
      const times: number[] = [];
      for (const { key, afterMs } of all) {
        clock.advance(afterMs);
        const now = clock.monotonic();
        const at = now + spread.delayOf(`${key}`);
        const had = places.get(`${key}`);
        if (had !== undefined && had > now) expect(at).toBeCloseTo(had, 6);
        else times.push(at);
        places.set(`${key}`, at);
        const waiting = [...places.values()].filter((place) => place > now).length;
        expect(at - now).toBeLessThanOrEqual(waiting * 100 + 1e-6);
      }
      times.sort((a, b) => a - b);
      times.forEach((first, index) => {
        const within = times.filter((time, other) => other >= index && time < first + 1000).length;
        expect(within).toBeLessThanOrEqual(10 + 3 + 1);
      });
    }),
  );
});
