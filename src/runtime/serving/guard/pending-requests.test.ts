import { describe, expect, it } from 'vitest';
import { type Arms, bound, canaryOf, digest, guardOf, other } from './guard.fixture.ts';

describe('what waits for a canary', () => {
  it('takes from a canary that is held what it has not begun, once, and what comes later at once', () => {
    const { guard, holds, follow } = guardOf();
    const taken: string[] = [];
    guard.pending.add('r1', digest, () => taken.push('first'));
    guard.pending.add('r1', other, () => taken.push('other canary'));
    guard.pending.add('r1', digest, () => taken.push('begun'))();
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    guard.pending.add('r1', digest, () => taken.push('late'));
    follow({ stable: bound(other), canary: canaryOf(other) });
    expect(taken).toEqual(['first', 'late']);
  });

  it.each<[string, Arms | undefined, boolean]>([
    ['another weight', { stable: bound(other), canary: canaryOf(digest), weight: 20 }, false],
    ['its promotion', { stable: bound(digest), weight: 0 }, false],
    ['an abort', { stable: bound(other), canary: canaryOf(digest), weight: 0 }, true],
    ['the end of the rollout', { stable: bound(other), weight: 0 }, true],
    ['another canary', { stable: bound(other), canary: canaryOf(other), weight: 20 }, true],
    ['the end of the object', undefined, true],
  ])('takes what a canary has not begun when the plan withdraws it: after %s', (_, arms, isTaken) => {
    const { guard } = guardOf();
    const taken: string[] = [];
    guard.pending.add('r1', digest, () => taken.push('taken'));
    guard.follow(
      new Map(arms === undefined ? [] : [['r1', { guard: { maxConsecutiveErrors: 3 }, ...arms }]]),
    );
    expect(taken.length === 1).toBe(isTaken);
  });
});
