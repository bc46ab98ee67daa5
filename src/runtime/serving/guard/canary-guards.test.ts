import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { bound, canaryOf, digest, engineDown, error, guardOf, other } from './guard.fixture.ts';

describe('the guard of a canary', () => {
  it('holds a canary after as many consecutive errors as its guard allows, and tells once', () => {
    const { guard, holds, written } = guardOf();
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let i = 0; i < 3; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(true);
    expect(written).toMatchObject([{ rolloutUid: 'r1', digest, cause: 'Guard' }]);
    expect(written[0]?.reason).toContain('3 consecutive errors');
  });

  it('starts counting anew after a success and does not count neutral ends', () => {
    const { guard, holds } = guardOf();
    for (const outcome of [
      'failure',
      'failure',
      'success',
      'failure',
      'neutral',
      'failure',
      'neutral',
    ] as const) {
      guard.canaries.recordResult('r1', digest, outcome, error);
    }
    expect(holds.isHeld('r1', digest)).toBe(false);
  });

  it('counts one death of the engine once, however many requests it took with it', () => {
    const { guard, holds } = guardOf();
    guard.engineDied(new Map());
    for (let i = 0; i < 10; i++) guard.canaries.recordResult('r1', digest, 'failure', engineDown);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let death = 0; death < 2; death++) {
      guard.engineDied(new Map());
      guard.canaries.recordResult('r1', digest, 'failure', engineDown);
    }
    expect(holds.isHeld('r1', digest)).toBe(true);
  });

  const ratio = { maxConsecutiveErrors: 1000, maxErrorRatio: '20%', maxLatency: '500ms', minRequests: 4 };

  it('holds a canary of which too large a share failed lately, and says how many', () => {
    const { guard, holds, written, clock, follow } = guardOf();
    follow({}, ratio);
    for (let i = 0; i < 3; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    clock.advance(60_000);
    for (let i = 0; i < 4; i++) guard.canaries.recordResult('r1', digest, 'success', undefined);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(written).toMatchObject([
      { cause: 'Guard', reason: expect.stringContaining('2 of 6 requests failed in the last 60 s') },
    ]);
  });

  it('holds a canary that is slower than its limit while stable is not', () => {
    const { guard, written, follow } = guardOf();
    follow({}, ratio);
    for (let i = 0; i < 4; i++) guard.canaries.recordLatency('r1', digest, 'stable', 20);
    for (let i = 0; i < 4; i++) guard.canaries.recordLatency('r1', digest, 'canary', 501);
    expect(written).toMatchObject([{ reason: expect.stringContaining('(stable: 0 of 4)') }]);
  });

  it('counts nothing where there is no canary', () => {
    const { guard, written, follow } = guardOf();
    follow({}, ratio);
    for (let i = 0; i < 9; i++) guard.canaries.recordLatency('r1', '', 'stable', 501);
    expect(written).toEqual([]);
  });

  it('counts another canary of the rollout from nothing, also when the former one comes back', () => {
    const { guard, holds, follow } = guardOf();
    const spec = { maxConsecutiveErrors: 2 };
    for (const now of [digest, other, digest]) {
      follow({ canary: canaryOf(now) }, spec);
      guard.canaries.recordResult('r1', now, 'failure', error);
    }
    expect(holds.all()).toEqual([]);
  });

  it('counts a classification that only stable can give against the canary', () => {
    const { guard, holds, follow } = guardOf();
    const lost = new AdaptletError('CLASSIFIER_MISSING', 'no head');
    follow({ stable: bound(other), canary: canaryOf(digest) }, { maxConsecutiveErrors: 1 });
    guard.canaries.recordResult('r1', digest, 'neutral', lost);
    expect(holds.isHeld('r1', digest)).toBe(false);
    guard.classifying.record('r1', other);
    // A session that is on the version before.
    guard.classifying.record('r1', fakeDigest('9'));
    guard.canaries.recordResult('r1', digest, 'neutral', lost);
    expect(holds.isHeld('r1', digest)).toBe(true);
  });
});
