import { describe, expect, it } from 'vitest';
import type { RolloutFailure } from '../api/rollout-status.ts';
import { mayFail, setAside } from './failures.ts';

const failed = (...reasons: RolloutFailure['reason'][]): RolloutFailure[] =>
  reasons.map((reason, i) => ({ runtime: `edge/${i}`, reason, message: '' }));
const reasonsOf = (failures: readonly RolloutFailure[]) => failures.map(({ reason }) => reason);

describe('how many runtimes may fail', () => {
  it.each([
    [0, 0],
    [1, 0],
    [4, 0],
    [5, 1],
    [19, 1],
    [20, 2],
    [1000, 100],
  ])('of %i by default %i', (runtimes, allowed) => {
    expect(mayFail(undefined, runtimes)).toBe(allowed);
  });

  it.each([
    [{ count: 0 }, 1000, 0],
    [{ count: 2 }, 4, 2],
    [{ percentage: '30%' }, 10, 3],
    [{ percentage: '30%' }, 3, 0],
    [{ count: 9 }, 5, 4],
    [{ percentage: '100%' }, 1, 0],
  ])('by %o of %i: %i, and never all of them', (maxFailures, runtimes, allowed) => {
    expect(mayFail(maxFailures, runtimes)).toBe(allowed);
  });
});

describe('who is set aside', () => {
  it('is nobody where more refused or tripped than may fail', () => {
    expect(setAside(failed('Refused', 'GuardTripped', 'NotReadyInTime'), 1)).toEqual([]);
  });

  it('are failures first, then counts that differ, then late ones, as far as they fit', () => {
    const all = failed('NotReadyInTime', 'CountsDiffer', 'Refused');
    expect(reasonsOf(setAside(all, 3))).toEqual(['Refused', 'CountsDiffer', 'NotReadyInTime']);
    expect(reasonsOf(setAside(all, 2))).toEqual(['Refused', 'CountsDiffer']);
    expect(reasonsOf(setAside(all, 1))).toEqual(['Refused']);
  });

  it('are all late ones or none', () => {
    const all = failed('NotReadyInTime', 'NotReadyInTime', 'NotReadyInTime');
    expect(setAside(all, 3)).toHaveLength(3);
    expect(setAside(all, 2)).toEqual([]);
  });

  it('is nobody for what is wrong with stable', () => {
    expect(setAside(failed('StableFails'), 1)).toEqual([]);
  });
});
