import { describe, expect, it } from 'vitest';
import { BoundedClock } from './bounded-clock.ts';
import { FakeClock } from './fake-clock.ts';

const hour = 3_600_000;
const now = Date.parse('2026-11-01T00:00:00Z');

const make = (says = now) => {
  const machine = new FakeClock(0);
  machine.set(says);
  return machine;
};

describe('a clock that is never before what is known', () => {
  it('is that of the machine while nothing speaks against it', () => {
    const machine = make();
    const clock = new BoundedClock(machine);
    expect(clock.raise(now - hour)).toBe(true);
    expect(clock.isBehind).toBe(false);
    machine.set(now + 5 * hour);
    expect(clock.now()).toBe(now + 5 * hour);
  });

  it('goes on from what is known where the machine begins in 1970', () => {
    const machine = make(0);
    const clock = new BoundedClock(machine, { atLeast: now - 48 * hour, last: now });
    expect(clock.isBehind).toBe(true);
    expect(clock.now()).toBe(now);
    machine.advance(hour);
    expect(clock.now()).toBe(now + hour);
    expect(clock.known()).toEqual({ atLeast: now - 47 * hour, last: now + hour });
  });

  it('believes the machine again once it is set', () => {
    const machine = make(0);
    const clock = new BoundedClock(machine, { atLeast: now - 48 * hour, last: now });
    machine.set(now + 20);
    expect(clock.isBehind).toBe(false);
    expect(clock.now()).toBe(now + 20);
  });

  it('forgets a time in which the machine was years ahead, once that is put right', () => {
    const machine = make(now + 80 * 365 * 24 * hour);
    const clock = new BoundedClock(machine, { atLeast: now - 48 * hour, last: now });
    const remembered = clock.known();
    machine.set(now);
    expect(clock.now()).toBe(now);
    expect(new BoundedClock(machine, remembered).now()).toBe(now);
  });

  it('learns: more than is known counts, less does not', () => {
    const clock = new BoundedClock(make(0));
    expect(clock.raise(now)).toBe(true);
    expect([clock.isBehind, clock.now()]).toEqual([true, now]);
    expect(clock.raise(now - 1)).toBe(false);
    expect(clock.raise(Number.NaN)).toBe(false);
    expect(clock.now()).toBe(now);
  });

  it('keeps what the machine said last when it jumps back while it runs', () => {
    const machine = make();
    const clock = new BoundedClock(machine, { atLeast: now - 48 * hour, last: 0 });
    clock.raise(now - 2 * hour);
    machine.set(0);
    expect(clock.now()).toBe(now);
  });

  it('is that of the machine again where somebody who is believed agrees with it', () => {
    const machine = make();
    const clock = new BoundedClock(machine);
    clock.raise(now + 300 * hour);
    expect(clock.settle({ from: now - hour, until: now + hour })).toBe(true);
    expect([clock.isBehind, clock.now(), clock.known().atLeast]).toEqual([false, now, now - hour]);
    machine.set(0);
    expect(clock.now()).toBe(now);
  });

  it('is never later than somebody who is believed says, where the machine is behind', () => {
    const clock = new BoundedClock(make(0), { atLeast: now - 48 * hour, last: now + 9000 * hour });
    expect(clock.settle({ from: now, until: now + hour })).toBe(true);
    expect(clock.known()).toEqual({ atLeast: now, last: now + hour });
    expect(clock.settle({ from: 0, until: now + hour })).toBe(false);
    expect(clock.known()).toEqual({ atLeast: now, last: now + hour });
  });
});
