import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { type Hold, holdSchema } from '../../state/memory.ts';
import { type Arms, bound, canaryOf, digest, error, guardOf, other } from './guard.fixture.ts';
import { Holds } from './holds.ts';

describe('what is held', () => {
  it('holds per digest: the next canary of the same rollout is not held', () => {
    const { holds } = guardOf();
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    expect([holds.isHeld('r1', digest), holds.isHeld('r1', other)]).toEqual([true, false]);
  });

  it('comes back from what was remembered, until it is released', () => {
    const hold: Hold = {
      rolloutUid: 'r1',
      digest,
      cause: 'Guard',
      reason: 'x',
      at: '2026-01-01T00:00:00Z',
      arm: 'canary',
      attempt: 1,
    };
    const { holds } = guardOf([hold]);
    expect(holds.isHeld('r1', digest)).toBe(true);
    holds.release('r1');
    expect(holds.all()).toEqual([]);
  });

  it('stays in force when the disk does not take it, which is logged', async () => {
    const logged: string[] = [];
    const holds = new Holds([], {
      clock: new FakeClock(),
      logger: { warn: () => undefined, error: (_: unknown, message?: string) => logged.push(message ?? '') },
      write: async () => {
        throw new Error('ENOSPC');
      },
    });
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    await holds.saved();
    expect(holds.isHeld('r1', digest)).toBe(true);
    expect(logged).toEqual(['holds could not be written to disk; a restart would forget them']);
  });

  it('forgets what belongs to rollouts that are not in the plan any more', () => {
    const { guard, holds } = guardOf();
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    guard.follow(new Map());
    expect(holds.all()).toEqual([]);
  });

  it.each<[string, Arms, boolean]>([
    ['a step of the same attempt', { stable: bound(other), canary: canaryOf(digest, 2) }, true],
    ['the end of the rollout', { stable: bound(other) }, true],
    ['a plan without anything that serves', {}, true],
    ['a higher attempt', { stable: bound(other), canary: canaryOf(digest, 3) }, false],
    ['another canary', { stable: bound(digest), canary: canaryOf(other) }, false],
    ['its promotion', { stable: bound(digest) }, false],
  ])('keeps or forgets a held canary: after %s', (_, arms, isHeld) => {
    const { guard, holds, written, follow } = guardOf();
    follow({ stable: bound(other), canary: canaryOf(digest, 2) });
    for (let i = 0; i < 3; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.all()).toMatchObject([{ attempt: 2, arm: 'canary' }]);
    follow(arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
    expect(written).toHaveLength(isHeld ? 1 : 0);
  });

  it.each<[string, Arms, boolean]>([
    ['a canary under way', { stable: bound(digest), canary: canaryOf(other) }, true],
    ['another stable', { stable: bound(other) }, false],
  ])('keeps or forgets a held stable: with %s', (_, arms, isHeld) => {
    const { holds, follow } = guardOf();
    follow({ stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    follow(arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
  });

  it('reads what an older version wrote', () => {
    const old = { rolloutUid: 'r1', canaryDigest: digest, cause: 'Guard', reason: 'x', at: '' };
    expect(holdSchema.parse(old)).toEqual({
      rolloutUid: 'r1',
      digest,
      cause: 'Guard',
      reason: 'x',
      at: '',
      arm: 'canary',
      attempt: 1,
    });
  });
});
