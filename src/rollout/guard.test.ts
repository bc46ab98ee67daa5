import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { type GuardOutcome, type GuardState, newGuard, observe } from './guard.ts';

const limit = { maxConsecutiveErrors: 3 };
const run = (
  outcomes: readonly GuardOutcome[],
  from: GuardState = newGuard('r1', fakeDigest('a')),
): GuardState => outcomes.reduce((state, outcome, i) => observe(state, outcome, limit, `boom ${i}`), from);

describe('guard', () => {
  it('trips with the failure that completes the row, and says what the last error was', () => {
    expect(run(['failure', 'failure']).tripped).toBeUndefined();
    expect(run(['failure', 'failure', 'failure']).tripped).toEqual({
      reason: '3 consecutive errors, the last one: boom 2',
    });
  });

  it('starts the row anew after a success', () => {
    expect(run(['failure', 'failure', 'success', 'failure', 'failure']).tripped).toBeUndefined();
  });

  it('ignores what says nothing about the adapter, without starting the row anew', () => {
    expect(run(['failure', 'neutral', 'failure', 'neutral', 'neutral', 'failure']).tripped).toBeDefined();
    expect(run(Array.from({ length: 100 }, () => 'neutral' as const)).tripped).toBeUndefined();
  });

  it('stays tripped when answers that were under way end well', () => {
    expect(run(['failure', 'failure', 'failure', 'success', 'success']).tripped).toBeDefined();
  });

  it('applies a changed limit to the row that is under way', () => {
    const state = run(['failure', 'failure']);
    expect(observe(state, 'failure', { maxConsecutiveErrors: 5 }).tripped).toBeUndefined();
    expect(observe(state, 'failure', { maxConsecutiveErrors: 1 }).tripped).toBeDefined();
  });

  it('trips exactly when the row of failures between successes reaches the limit, also across a restart', () => {
    const outcomes = fc.array(fc.constantFrom<GuardOutcome>('success', 'failure', 'neutral'), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(outcomes, fc.nat(40), (all, restartAt) => {
        const first: unknown = JSON.parse(JSON.stringify(run(all.slice(0, restartAt))));
        const state = run(all.slice(restartAt), first as GuardState);
        const rows = all
          .filter((o) => o !== 'neutral')
          .join(' ')
          .split('success');
        const expected = rows.some((row) => row.split('failure').length - 1 >= limit.maxConsecutiveErrors);
        expect(state.tripped !== undefined).toBe(expected);
      }),
    );
  });
});
