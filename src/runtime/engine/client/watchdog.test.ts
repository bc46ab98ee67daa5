import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Watchdog } from './watchdog.ts';

const watch = (limitMs: () => number | undefined) => {
  const clock = new FakeClock();
  const stalls: number[] = [];
  const watchdog = new Watchdog({ clock, limitMs, onStall: (silentMs) => stalls.push(silentMs) });
  return { clock, stalls, watchdog };
};

describe('the watchdog', () => {
  it('reports silence beyond the limit, once', () => {
    const { clock, stalls } = watch(() => 1000);
    clock.advance(900);
    expect(stalls).toEqual([]);
    clock.advance(5000);
    expect(stalls).toHaveLength(1);
  });

  it('is quiet while signs of life come', () => {
    const { clock, stalls, watchdog } = watch(() => 1000);
    for (let second = 0; second < 20; second += 1) {
      clock.advance(800);
      watchdog.heard();
    }
    expect(stalls).toEqual([]);
  });

  it('does not count silence while nothing is under way', () => {
    const busy = { limit: undefined as number | undefined };
    const { clock, stalls } = watch(() => busy.limit);
    clock.advance(60_000);
    busy.limit = 1000;
    clock.advance(900);
    expect(stalls).toEqual([]);
    clock.advance(900);
    expect(stalls).toHaveLength(1);
  });

  it('does not blame the other process when this one stood still', () => {
    const clock = new FakeClock();
    const stalls: number[] = [];
    const timers: (() => void)[] = [];
    const frozen = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (_: number, fn: () => void) => (timers.push(fn), () => undefined),
    };
    const watchdog = new Watchdog({ clock: frozen, limitMs: () => 1000, onStall: (ms) => stalls.push(ms) });
    clock.advance(30_000);
    timers.shift()?.();
    watchdog.stop();
    expect(stalls).toEqual([]);
  });
});
