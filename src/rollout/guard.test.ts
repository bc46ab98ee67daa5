import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import {
  type GuardLimits,
  type GuardState,
  guardLimits,
  newGuard,
  type Observation,
  observe,
} from './guard.ts';
import { bucketsPerWindow } from './guard-window.ts';

const inARow: GuardLimits = { maxConsecutiveErrors: 3, minRequests: 20, windowMs: 60_000 };
const errorRatio: GuardLimits = { ...inARow, maxConsecutiveErrors: 1000, maxErrorPercent: 20 };
const latency: GuardLimits = { ...errorRatio, maxLatencyMs: 500 };

const success: Observation = { kind: 'end', outcome: 'success' };
const neutral: Observation = { kind: 'end', outcome: 'neutral' };
const failure = (error = 'boom'): Observation => ({ kind: 'end', outcome: 'failure', error });
const took = (arm: 'canary' | 'stable', ms: number): Observation => ({ kind: 'latency', arm, ms });
const times = (count: number, seen: Observation): Observation[] => Array.from({ length: count }, () => seen);

const run = (
  seen: readonly Observation[],
  limits = inARow,
  from: GuardState = newGuard('r1', fakeDigest('a')),
  atMs = 1_000,
): GuardState => seen.reduce((state, one) => observe(state, one, limits, atMs), from);

describe('a guard on errors in a row', () => {
  it('trips with the failure that completes the row, and says what the last error was', () => {
    expect(run([failure('a'), failure('b')]).tripped).toBeUndefined();
    expect(run([failure('a'), failure('b'), failure('c')]).tripped).toEqual({
      reason: '3 consecutive errors, the last one: c',
    });
  });

  it('starts the row anew after a success', () => {
    const [f, s] = [failure(), success];
    expect(run([f, f, s, f, f]).tripped).toBeUndefined();
  });

  it('ignores what says nothing about the adapter, without starting the row anew', () => {
    const [f, n] = [failure(), neutral];
    expect(run([f, n, f, n, n, f]).tripped).toBeDefined();
    const before = run([f]);
    expect(observe(before, n, inARow, 0)).toBe(before);
  });

  it('stays tripped when answers that were under way end well', () => {
    const tripped = run(times(3, failure()));
    expect(run(times(30, success), inARow, tripped)).toBe(tripped);
  });

  it('applies a changed limit to the row that is under way', () => {
    const state = run([failure(), failure()]);
    expect(observe(state, failure(), { ...inARow, maxConsecutiveErrors: 5 }, 0).tripped).toBeUndefined();
    expect(observe(state, failure(), { ...inARow, maxConsecutiveErrors: 1 }, 0).tripped).toBeDefined();
  });

  it('counts failures that no success is between, however long ago the first one was', () => {
    const old = run([failure(), failure()], inARow, undefined, 0);
    expect(observe(old, failure(), inARow, 3_600_000).tripped).toBeDefined();
  });
});

describe('a guard on the share of errors', () => {
  it('trips when more than the share of enough requests failed, and says the numbers', () => {
    const state = run([...times(16, success), ...times(4, failure('x'))], errorRatio);
    expect(state.tripped).toBeUndefined();
    expect(run([failure('y')], errorRatio, state).tripped).toEqual({
      reason: '5 of 21 requests failed in the last 60 s, more than 20 %, the last one: y',
    });
  });

  it('waits for enough requests, and neutral ends are none', () => {
    const few = [...times(9, success), ...times(10, failure()), ...times(50, neutral)];
    expect(run(few, errorRatio).tripped).toBeUndefined();
    expect(run([...few, success], errorRatio).tripped).toBeDefined();
  });

  it('forgets what is older than the window', () => {
    const old = run(times(19, failure()), errorRatio, undefined, 0);
    expect(run([success], errorRatio, old, 54_999).tripped).toBeDefined();
    expect(run(times(20, success), errorRatio, old, 60_000).tripped).toBeUndefined();
  });

  it('is off unless it is asked for', () => {
    const { maxErrorPercent: _, ...off } = errorRatio;
    expect(run(times(500, failure()), off).tripped).toBeUndefined();
  });
});

describe('a guard on latency', () => {
  const slowCanary = times(20, took('canary', 501));

  it('trips when more than half of enough requests took longer, and says what stable did', () => {
    const half = [...times(10, took('canary', 501)), ...times(10, took('canary', 500))];
    const fastStable = times(40, took('stable', 20));
    const state = run([...fastStable, ...half], latency);
    expect(state.tripped).toBeUndefined();
    expect(run([took('canary', 900)], latency, state).tripped).toEqual({
      reason: '11 of 21 requests took longer than 500 ms in the last 60 s (stable: 0 of 40)',
    });
  });

  it('takes a slow machine for what it is: stable is as slow', () => {
    expect(run([...times(20, took('stable', 800)), ...slowCanary], latency).tripped).toBeUndefined();
  });

  it('goes by the limit alone where stable has too few requests to compare with', () => {
    expect(run([...times(19, took('stable', 800)), ...slowCanary], latency).tripped?.reason).toContain(
      '(stable: 19 of 19, too few to compare)',
    );
  });

  it('compares with stable in the same window, not with what it was before', () => {
    const before = run(times(100, took('stable', 800)), latency, undefined, 0);
    const now = [...times(20, took('stable', 20)), ...slowCanary];
    expect(run(now, latency, before, 30_000).tripped).toBeUndefined();
    expect(run(now, latency, before, 60_000).tripped).toBeDefined();
  });

  it('never trips with a request of stable', () => {
    const slow = run([...times(20, took('stable', 800)), ...slowCanary], latency);
    const better = run(times(100, took('stable', 20)), latency, slow);
    expect(better.tripped).toBeUndefined();
    expect(run([took('canary', 501)], latency, better).tripped).toBeDefined();
  });

  it('starts anew with another limit, and keeps nothing at all without one', () => {
    const slow = run(times(19, took('canary', 501)), latency);
    expect(
      run(times(19, took('canary', 700)), { ...latency, maxLatencyMs: 600 }, slow).tripped,
    ).toBeUndefined();
    const state = newGuard('r1', fakeDigest('a'));
    expect(observe(state, took('canary', 9_999), errorRatio, 0)).toBe(state);
  });
});

describe('guardLimits', () => {
  it('has the defaults that the field descriptions promise', () => {
    expect(guardLimits({ maxConsecutiveErrors: 5 })).toEqual({
      maxConsecutiveErrors: 5,
      minRequests: 20,
      windowMs: 60_000,
    });
  });

  it('reads percentages and durations', () => {
    expect(
      guardLimits({
        maxConsecutiveErrors: 1,
        maxErrorRatio: '5%',
        minRequests: 7,
        maxLatency: '1.5s',
        window: '2m',
      }),
    ).toEqual({
      maxConsecutiveErrors: 1,
      maxErrorPercent: 5,
      minRequests: 7,
      maxLatencyMs: 1_500,
      windowMs: 120_000,
    });
  });
});

type Timed = { readonly seen: Observation; readonly atMs: number };

/** The rules over all that was ever seen, as one would write them down. */
const tripsBy = (all: readonly Timed[], limits: GuardLimits): boolean => {
  const { seen: last, atMs: now } = all.at(-1) ?? { seen: neutral, atMs: 0 };
  const isOfCanary = last.kind === 'end' ? last.outcome !== 'neutral' : last.arm === 'canary';
  if (!isOfCanary) return false;
  const verdicts = all.flatMap(({ seen }) =>
    seen.kind === 'end' && seen.outcome !== 'neutral' ? [seen] : [],
  );
  const row = verdicts.length - 1 - verdicts.findLastIndex(({ outcome }) => outcome === 'success');
  if (row >= limits.maxConsecutiveErrors) return true;
  const bucketMs = limits.windowMs / bucketsPerWindow;
  const age = (atMs: number): number => Math.floor(now / bucketMs) - Math.floor(atMs / bucketMs);
  const recent = all.filter(({ atMs }) => age(atMs) < bucketsPerWindow).map(({ seen }) => seen);
  const ends = recent.filter((seen) => seen.kind === 'end' && seen.outcome !== 'neutral');
  const errors = ends.filter((seen) => seen.kind === 'end' && seen.outcome === 'failure').length;
  const { maxErrorPercent = 100, maxLatencyMs = Infinity, minRequests } = limits;
  if (ends.length >= minRequests && errors / ends.length > maxErrorPercent / 100) return true;
  const isSlow = (arm: string): boolean => {
    const of = recent.flatMap((seen) => (seen.kind === 'latency' && seen.arm === arm ? [seen.ms] : []));
    return of.length >= minRequests && of.filter((ms) => ms > maxLatencyMs).length > of.length / 2;
  };
  return isSlow('canary') && !isSlow('stable');
};

describe('a guard, whatever it sees', () => {
  const observation = fc.oneof(
    fc.constantFrom<Observation>(success, success, neutral, failure('x')),
    fc.record({
      kind: fc.constant('latency' as const),
      arm: fc.constantFrom('canary' as const, 'stable' as const),
      ms: fc.constantFrom(10, 100, 101, 500),
    }),
  );
  const history = fc
    .array(fc.tuple(observation, fc.constantFrom(0, 0, 0, 10, 100, 700)), { maxLength: 80 })
    .map((steps) => {
      let atMs = 5;
      return steps.map(([seen, later]) => ({ seen, atMs: (atMs += later) }));
    });
  const limits: fc.Arbitrary<GuardLimits> = fc.record({
    maxConsecutiveErrors: fc.constantFrom(2, 4, 1000),
    maxErrorPercent: fc.constantFrom(25, 50),
    maxLatencyMs: fc.constant(100),
    minRequests: fc.constantFrom(1, 3, 8),
    windowMs: fc.constantFrom(1_200, 60_000),
  });

  it('trips exactly when the rules say so over all that it saw', () => {
    fc.assert(
      fc.property(history, limits, (all, limit) => {
        let state = newGuard('r1', fakeDigest('a'));
        for (const [index, { seen, atMs }] of all.entries()) {
          const next = observe(state, seen, limit, atMs);
          expect(next.tripped !== undefined).toBe(tripsBy(all.slice(0, index + 1), limit));
          if (next.tripped !== undefined) return;
          state = next;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('has a bounded size', () => {
    fc.assert(
      fc.property(history, limits, (all, limit) => {
        const never = { ...limit, maxConsecutiveErrors: 1000, minRequests: 1000 };
        const end = all.reduce(
          (state, { seen, atMs }) => observe(state, seen, never, atMs),
          newGuard('r1', fakeDigest('a')),
        );
        expect(end.window?.buckets.length ?? 0).toBeLessThanOrEqual(bucketsPerWindow);
      }),
    );
  });
});
