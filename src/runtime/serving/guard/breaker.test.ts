import { describe, expect, it } from 'vitest';
import {
  type Breaker,
  mayTry,
  newBreaker,
  recordResult,
  reopened,
  startTrial,
  trialDelays,
} from './breaker.ts';

const limit = 3;
const end = (breaker: Breaker, outcome: 'success' | 'failure' | 'neutral', now: number, isTrial = false) =>
  recordResult(breaker, { outcome, isTrial }, limit, now);
const failing = (now: number, from = newBreaker(0)): Breaker =>
  [1, 2, 3].reduce((breaker) => end(breaker, 'failure', now), from);
const { firstMs, maxMs } = trialDelays;

describe('the breaker of a stable adapter', () => {
  it('opens after as many failures in a row as its limit, which a success interrupts and a neutral end does not', () => {
    let breaker = newBreaker(0);
    for (const outcome of ['failure', 'failure', 'success', 'failure', 'neutral', 'failure'] as const)
      breaker = end(breaker, outcome, 0);
    expect(breaker.kind).toBe('closed');
    expect(end(breaker, 'failure', 0)).toMatchObject({ kind: 'open', dueAt: firstMs });
  });

  it('is tried by one request when its time has come, and again later when that one says nothing', () => {
    const open = failing(0);
    expect([mayTry(open, firstMs - 1), mayTry(open, firstMs)]).toEqual([false, true]);
    const trying = startTrial(open, firstMs);
    expect(mayTry(trying, firstMs)).toBe(false);
    expect(mayTry(end(trying, 'neutral', firstMs, true), 2 * firstMs)).toBe(true);
  });

  it('closes when the trial succeeds, and not by what was under way when it opened', () => {
    const trying = startTrial(failing(0), firstMs);
    expect(end(trying, 'success', firstMs)).toBe(trying);
    expect(end(trying, 'success', firstMs, true).kind).toBe('closed');
  });

  it('waits twice as long after each trial that fails, up to five minutes', () => {
    let breaker = failing(0);
    const waits: number[] = [];
    for (let now = breaker.dueAt; waits.length < 8; now = breaker.dueAt) {
      breaker = end(startTrial(breaker, now), 'failure', now, true);
      waits.push(breaker.dueAt - now);
    }
    expect(waits).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]);
  });

  it('waits no longer when many requests try it at once for want of an alternative', () => {
    let breaker = failing(0);
    for (let i = 0; i < 50; i++) breaker = end(breaker, 'failure', 1, true);
    expect(breaker.dueAt).toBe(firstMs);
  });

  it('goes on with the longer wait when it opens again soon after it closed, and starts anew after five good minutes', () => {
    const again = (afterMs: number): number => {
      const closed = end(startTrial(failing(0), firstMs), 'success', firstMs, true);
      const now = firstMs + afterMs;
      return failing(now, closed).dueAt - now;
    };
    expect(again(maxMs - 1)).toBe(2 * firstMs);
    expect(again(maxMs)).toBe(firstMs);
  });

  it('is due at once after a restart', () => {
    expect(mayTry(reopened(5), 5)).toBe(true);
  });
});
