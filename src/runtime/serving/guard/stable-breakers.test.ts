import { describe, expect, it } from 'vitest';
import { type Arms, bound, canaryOf, digest, engineDown, error, guardOf, other } from './guard.fixture.ts';
import type { Guard } from './guard.ts';

describe('the circuit breaker of a stable', () => {
  const fail = (guard: Guard, isTrial = false) =>
    guard.stables.recordResult('r1', digest, { outcome: 'failure', isTrial }, error);

  const isOut = (guard: Guard) => guard.holdInForce('r1', digest) !== undefined;

  it('holds a stable that fails, and lets it go with the first answer of a trial', () => {
    const { guard, holds, written, clock, follow } = guardOf();
    follow({ stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(guard);
    expect(written).toMatchObject([{ digest, arm: 'stable', cause: 'Guard' }]);
    expect([holds.isHeld('r1', digest), isOut(guard)]).toEqual([true, true]);
    clock.advance(5_000);
    expect([holds.isHeld('r1', digest), isOut(guard)]).toEqual([true, false]);
    expect(guard.stables.recordStart('r1', digest)).toBe(true);
    expect(isOut(guard)).toBe(true);
    guard.stables.recordResult('r1', digest, { outcome: 'success', isTrial: true }, undefined);
    expect([holds.isHeld('r1', digest), written]).toEqual([false, []]);
  });

  it('tries a stable that was held before a restart with the next request', () => {
    const before = guardOf();
    before.follow({ stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(before.guard);
    const { guard, holds, follow } = guardOf(before.written);
    follow({ stable: bound(digest) });
    expect([holds.isHeld('r1', digest), isOut(guard)]).toEqual([true, false]);
  });

  it.each<[string, Arms, boolean]>([
    ['it is the one before stable', { stable: bound(other), former: bound(digest) }, true],
    [
      'it is tried as a canary',
      { stable: bound(other), former: bound(digest), canary: canaryOf(digest) },
      false,
    ],
    ['it is neither', { stable: bound(other) }, false],
  ])('keeps or forgets a stable that failed: when %s', (_, arms, isHeld) => {
    const { guard, holds, follow } = guardOf();
    follow({ stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(guard);
    follow(arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
    // What it failed before does not count again, and what it fails now does.
    follow({ stable: bound(digest) });
    for (const more of [false, false, true]) {
      fail(guard);
      expect(holds.isHeld('r1', digest)).toBe(isHeld || more);
    }
  });

  it('charges a stable with one failure for an end of the engine', () => {
    const { guard, holds, follow } = guardOf();
    follow({ stable: bound(digest) });
    guard.engineDied(new Map());
    for (let i = 0; i < 10; i++)
      guard.stables.recordResult('r1', digest, { outcome: 'failure', isTrial: false }, engineDown);
    expect(holds.isHeld('r1', digest)).toBe(false);
  });

  it('does not let a stable go that a person rolled back', () => {
    const { guard, holds, follow } = guardOf();
    follow({ stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    for (let i = 0; i < 4; i++) fail(guard);
    guard.stables.recordResult('r1', digest, { outcome: 'success', isTrial: true }, undefined);
    expect(holds.ofRollout('r1')).toMatchObject([{ cause: 'BreakGlass' }]);
  });
});
