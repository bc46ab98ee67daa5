import { describe, expect, it } from 'vitest';
import { bound, digest, error, guardOf } from './guard.fixture.ts';

describe('the guard', () => {
  it('tells who follows trials of answers of canaries, and of what a person has tried again', () => {
    const told: string[] = [];
    const { guard, holds } = guardOf([], (uid, of) => told.push(`answered ${uid} ${of === digest}`));
    holds.onChange((change) => {
      if (change.kind === 'released') told.push(`released ${change.rolloutUid}`);
    });
    guard.canaries.recordResult('r1', digest, 'failure', error);
    guard.canaries.recordResult('r1', digest, 'success', undefined);
    holds.release('r1');
    expect(told).toEqual(['answered r1 true', 'released r1']);
  });

  it('lets no request try what a person rolled back, however long ago it failed', () => {
    const { guard, holds, clock, follow } = guardOf();
    follow({ stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    for (let i = 0; i < 3; i++)
      guard.stables.recordResult('r1', digest, { outcome: 'failure', isTrial: false }, error);
    clock.advance(60_000);
    expect(guard.holdInForce('r1', digest)).toMatchObject({ cause: 'BreakGlass' });
  });

  it('counts from nothing what a person has tried again, held or not', () => {
    const { guard, holds } = guardOf();
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    holds.release('r1');
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.all()).toEqual([]);
    guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(true);
  });
});
