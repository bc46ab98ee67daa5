import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { type Hold, holdSchema } from '../../state/memory.ts';
import { Holds, type Watched } from './holds.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const other = `sha256:${'b'.repeat(64)}` as Digest;
const limits = new Map([['r1', { guard: { maxConsecutiveErrors: 3 } }]]);
const error = new AdaptletError('INTERNAL', 'it broke');
const bound = (of: Digest) => ({ adapter: 'x', uid: 'x', digest: of });
const canaryOf = (of: Digest, attempt = 1) => ({ ...bound(of), seed: '00', attempt });
const follow = (holds: Holds, arms: Omit<Watched, 'guard'>) =>
  holds.follow(new Map([['r1', { guard: { maxConsecutiveErrors: 3 }, ...arms }]]));

const make = (remembered: readonly Hold[] = []) => {
  const clock = new FakeClock();
  const seen: Hold[] = [];
  const changed = async (all: readonly Hold[]) => {
    seen.splice(0, seen.length, ...all);
  };
  const holds = new Holds(clock, remembered, {
    held: () => undefined,
    changed,
    logger: pino({ enabled: false }),
  });
  holds.follow(limits);
  return { holds, seen, clock };
};

describe('Holds', () => {
  it('holds a canary after as many consecutive errors as its guard allows, and tells once', () => {
    const { holds, seen } = make();
    for (let i = 0; i < 2; i++) holds.observe('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let i = 0; i < 3; i++) holds.observe('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(true);
    expect(seen).toMatchObject([{ rolloutUid: 'r1', digest, cause: 'Guard' }]);
    expect(seen[0]?.reason).toContain('3 consecutive errors');
  });

  it('starts counting anew after a success and does not count neutral ends', () => {
    const { holds } = make();
    for (const outcome of [
      'failure',
      'failure',
      'success',
      'failure',
      'neutral',
      'failure',
      'neutral',
    ] as const) {
      holds.observe('r1', digest, outcome, error);
    }
    expect(holds.isHeld('r1', digest)).toBe(false);
  });

  it('counts one death of the engine once, however many requests it took with it', () => {
    const { holds } = make();
    const down = new AdaptletError('ENGINE_DOWN', 'killed');
    holds.engineDied();
    for (let i = 0; i < 10; i++) holds.observe('r1', digest, 'failure', down);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let death = 0; death < 2; death++) {
      holds.engineDied();
      holds.observe('r1', digest, 'failure', down);
    }
    expect(holds.isHeld('r1', digest)).toBe(true);
  });

  const ratio = { maxConsecutiveErrors: 1000, maxErrorRatio: '20%', maxLatency: '500ms', minRequests: 4 };

  it('holds a canary of which too large a share failed lately, and says how many', () => {
    const { holds, seen, clock } = make();
    holds.follow(new Map([['r1', { guard: ratio }]]));
    for (let i = 0; i < 3; i++) holds.observe('r1', digest, 'failure', error);
    clock.advance(60_000);
    for (let i = 0; i < 4; i++) holds.observe('r1', digest, 'success', undefined);
    expect(holds.isHeld('r1', digest)).toBe(false);
    for (let i = 0; i < 2; i++) holds.observe('r1', digest, 'failure', error);
    expect(seen).toMatchObject([
      { cause: 'Guard', reason: expect.stringContaining('2 of 6 requests failed in the last 60 s') },
    ]);
  });

  it('holds a canary that is slower than its limit while stable is not', () => {
    const { holds, seen } = make();
    holds.follow(new Map([['r1', { guard: ratio }]]));
    for (let i = 0; i < 4; i++) holds.timed('r1', digest, 'stable', 20);
    for (let i = 0; i < 4; i++) holds.timed('r1', digest, 'canary', 501);
    expect(seen).toMatchObject([{ reason: expect.stringContaining('(stable: 0 of 4)') }]);
  });

  it('counts nothing where there is no canary', () => {
    const { holds, seen } = make();
    holds.follow(new Map([['r1', { guard: ratio }]]));
    for (let i = 0; i < 9; i++) holds.timed('r1', '', 'stable', 501);
    expect(seen).toEqual([]);
  });

  it('counts another canary of the rollout from nothing, also when the former one comes back', () => {
    const { holds } = make();
    const guard = { maxConsecutiveErrors: 2 };
    for (const now of [digest, other, digest]) {
      holds.follow(new Map([['r1', { guard, canary: canaryOf(now) }]]));
      holds.observe('r1', now, 'failure', error);
    }
    expect(holds.all()).toEqual([]);
  });

  it('takes from a canary that is held what it has not begun, once, and what comes later at once', () => {
    const { holds } = make();
    const taken: string[] = [];
    holds.given('r1', digest, () => taken.push('first'));
    holds.given('r1', other, () => taken.push('other canary'));
    holds.given('r1', digest, () => taken.push('begun'))();
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    holds.given('r1', digest, () => taken.push('late'));
    follow(holds, { stable: bound(other), canary: canaryOf(other) });
    expect(taken).toEqual(['first', 'late']);
  });

  it.each<[string, Omit<Watched, 'guard'> | undefined, boolean]>([
    ['another weight', { stable: bound(other), canary: canaryOf(digest), weight: 20 }, false],
    ['its promotion', { stable: bound(digest), weight: 0 }, false],
    ['an abort', { stable: bound(other), canary: canaryOf(digest), weight: 0 }, true],
    ['the end of the rollout', { stable: bound(other), weight: 0 }, true],
    ['another canary', { stable: bound(other), canary: canaryOf(other), weight: 20 }, true],
    ['the end of the object', undefined, true],
  ])('takes what a canary has not begun when the plan withdraws it: after %s', (_, arms, isTaken) => {
    const { holds } = make();
    const taken: string[] = [];
    holds.given('r1', digest, () => taken.push('taken'));
    holds.follow(
      new Map(arms === undefined ? [] : [['r1', { guard: { maxConsecutiveErrors: 3 }, ...arms }]]),
    );
    expect(taken.length === 1).toBe(isTaken);
  });

  it('counts a classification that only stable can give against the canary', () => {
    const { holds } = make();
    const lost = new AdaptletError('CLASSIFIER_MISSING', 'no head');
    holds.follow(
      new Map([
        ['r1', { guard: { maxConsecutiveErrors: 1 }, stable: bound(other), canary: canaryOf(digest) }],
      ]),
    );
    holds.observe('r1', digest, 'neutral', lost);
    expect(holds.isHeld('r1', digest)).toBe(false);
    holds.stableClassified('r1', other);
    holds.observe('r1', digest, 'neutral', lost);
    expect(holds.isHeld('r1', digest)).toBe(true);
  });

  it('holds per digest: the next canary of the same rollout is not held', () => {
    const { holds } = make();
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
    const { holds } = make([hold]);
    expect(holds.isHeld('r1', digest)).toBe(true);
    holds.release('r1');
    expect(holds.all()).toEqual([]);
  });

  it('forgets what belongs to rollouts that are not in the plan any more', () => {
    const { holds } = make();
    holds.hold('r1', digest, 'BreakGlass', 'by hand');
    holds.follow(new Map());
    expect(holds.all()).toEqual([]);
  });

  it.each<[string, Omit<Watched, 'guard'>, boolean]>([
    ['a step of the same attempt', { stable: bound(other), canary: canaryOf(digest, 2) }, true],
    ['the end of the rollout', { stable: bound(other) }, true],
    ['a plan without anything that serves', {}, true],
    ['a higher attempt', { stable: bound(other), canary: canaryOf(digest, 3) }, false],
    ['another canary', { stable: bound(digest), canary: canaryOf(other) }, false],
    ['its promotion', { stable: bound(digest) }, false],
  ])('keeps or forgets a held canary: after %s', (_, arms, isHeld) => {
    const { holds, seen } = make();
    follow(holds, { stable: bound(other), canary: canaryOf(digest, 2) });
    for (let i = 0; i < 3; i++) holds.observe('r1', digest, 'failure', error);
    expect(holds.all()).toMatchObject([{ attempt: 2, arm: 'canary' }]);
    follow(holds, arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
    expect(seen).toHaveLength(isHeld ? 1 : 0);
  });

  it.each<[string, Omit<Watched, 'guard'>, boolean]>([
    ['a canary under way', { stable: bound(digest), canary: canaryOf(other) }, true],
    ['another stable', { stable: bound(other) }, false],
  ])('keeps or forgets a held stable: with %s', (_, arms, isHeld) => {
    const { holds } = make();
    follow(holds, { stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    follow(holds, arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
  });

  const fail = (holds: Holds, isTrial = false) =>
    holds.observeStable('r1', digest, { outcome: 'failure', isTrial }, error);

  it('holds a stable that fails, and lets it go with the first answer of a trial', () => {
    const { holds, seen, clock } = make();
    follow(holds, { stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(holds);
    expect(seen).toMatchObject([{ digest, arm: 'stable', cause: 'Guard' }]);
    expect([holds.isHeld('r1', digest), holds.isOut('r1', digest)]).toEqual([true, true]);
    clock.advance(5_000);
    expect([holds.isHeld('r1', digest), holds.isOut('r1', digest)]).toEqual([true, false]);
    expect(holds.givenStable('r1', digest)).toBe(true);
    expect(holds.isOut('r1', digest)).toBe(true);
    holds.observeStable('r1', digest, { outcome: 'success', isTrial: true }, undefined);
    expect([holds.isHeld('r1', digest), seen]).toEqual([false, []]);
  });

  it('tries a stable that was held before a restart with the next request', () => {
    const before = make();
    follow(before.holds, { stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(before.holds);
    const { holds } = make(before.seen);
    follow(holds, { stable: bound(digest) });
    expect([holds.isHeld('r1', digest), holds.isOut('r1', digest)]).toEqual([true, false]);
  });

  it.each<[string, Omit<Watched, 'guard'>, boolean]>([
    ['it is the one before stable', { stable: bound(other), former: bound(digest) }, true],
    [
      'it is tried as a canary',
      { stable: bound(other), former: bound(digest), canary: canaryOf(digest) },
      false,
    ],
    ['it is neither', { stable: bound(other) }, false],
  ])('keeps or forgets a stable that failed: when %s', (_, arms, isHeld) => {
    const { holds } = make();
    follow(holds, { stable: bound(digest) });
    for (let i = 0; i < 3; i++) fail(holds);
    follow(holds, arms);
    expect(holds.isHeld('r1', digest)).toBe(isHeld);
    // What it failed before does not count again, and what it fails now does.
    follow(holds, { stable: bound(digest) });
    for (const more of [false, false, true]) {
      fail(holds);
      expect(holds.isHeld('r1', digest)).toBe(isHeld || more);
    }
  });

  it('tells who follows trials of answers of canaries, and of what a person has tried again', () => {
    const told: string[] = [];
    const holds = new Holds(new FakeClock(), [], {
      held: () => undefined,
      changed: async () => undefined,
      answered: (uid, of) => told.push(`answered ${uid} ${of === digest}`),
      released: (uid) => told.push(`released ${uid}`),
      logger: pino({ enabled: false }),
    });
    holds.follow(limits);
    holds.observe('r1', digest, 'failure', error);
    holds.observe('r1', digest, 'success', undefined);
    holds.release('r1');
    expect(told).toEqual(['answered r1 true', 'released r1']);
  });

  it('charges a stable with one failure for an end of the engine', () => {
    const { holds } = make();
    follow(holds, { stable: bound(digest) });
    const down = new AdaptletError('ENGINE_DOWN', 'killed');
    holds.engineDied();
    for (let i = 0; i < 10; i++)
      holds.observeStable('r1', digest, { outcome: 'failure', isTrial: false }, down);
    expect(holds.isHeld('r1', digest)).toBe(false);
  });

  it('does not let a stable go that a person rolled back', () => {
    const { holds } = make();
    follow(holds, { stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    for (let i = 0; i < 4; i++) fail(holds);
    holds.observeStable('r1', digest, { outcome: 'success', isTrial: true }, undefined);
    expect(holds.of('r1')).toMatchObject([{ cause: 'BreakGlass' }]);
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
