import { backoffMs, type Delays } from '../../../time/backoff.ts';
import type { Outcome } from './outcome.ts';

/** How long an adapter that failed is left alone before one request tries it again; doubles with each try in vain. */
export const trialDelays: Delays = { firstMs: 5_000, maxMs: 300_000 };

/**
 * The circuit breaker of an adapter that serves as stable (M. Nygard, Release It!). Unlike a canary it gets its
 * traffic back by itself: nobody may be there to give it back. Times are monotonic milliseconds.
 */
export type Breaker = {
  /** Half-open: a request tries the adapter. */
  readonly kind: 'closed' | 'open' | 'half-open';
  /** In a row, while closed. */
  readonly failures: number;
  /** How often it was open, one time soon after the other. */
  readonly tries: number;
  /** When it closed or opened. */
  readonly since: number;
  /** Unless closed: when the next request may try the adapter. */
  readonly dueAt: number;
};

const closed = (tries: number, now: number): Breaker => ({
  kind: 'closed',
  failures: 0,
  tries,
  since: now,
  dueAt: 0,
});

const delayOf = (tries: number): number => backoffMs(tries, () => 0, trialDelays);

const open = (tries: number, now: number): Breaker => ({
  kind: 'open',
  failures: 0,
  tries,
  since: now,
  dueAt: now + delayOf(tries),
});

export const newBreaker = (now: number): Breaker => closed(0, now);

/** One that was open when the runtime ended: the next request tries it. */
export const reopened = (now: number): Breaker => ({ ...open(1, now), dueAt: now });

/** True when the next request may try an adapter that is out of service. */
export const mayTry = ({ kind, dueAt }: Breaker, now: number): boolean => kind !== 'closed' && now >= dueAt;

/** A request is given to the adapter. When it is the one that tries it, others go elsewhere until it ended, or for a while. */
export const startTrial = (breaker: Breaker, now: number): Breaker =>
  mayTry(breaker, now) ? { ...breaker, kind: 'half-open', dueAt: now + trialDelays.firstMs } : breaker;

/** How a request of the adapter ended. */
export type Result = {
  readonly outcome: Outcome;
  /** It was given to the adapter while the breaker was not closed. */
  readonly isTrial: boolean;
};

/**
 * A request of the adapter ended. Opens after `limit` failures in a row, and closes with a trial that succeeds; what was
 * under way before it opened says nothing new. A breaker that opens again soon after it closed waits longer each time, so
 * that traffic does not swing to and fro.
 */
export const recordResult = (breaker: Breaker, result: Result, limit: number, now: number): Breaker =>
  breaker.kind === 'closed' ? counted(breaker, result, limit, now) : tried(breaker, result, now);

const tried = (breaker: Breaker, { outcome, isTrial }: Result, now: number): Breaker => {
  if (!isTrial || outcome === 'neutral') return breaker;
  if (outcome === 'success') return closed(breaker.tries, now);
  // Without an alternative every request is a trial: they do not make the wait longer than one would.
  return now - breaker.since < delayOf(breaker.tries) ? breaker : open(breaker.tries + 1, now);
};

const counted = (breaker: Breaker, { outcome }: Result, limit: number, now: number): Breaker => {
  if (outcome === 'neutral') return breaker;
  if (outcome === 'success') return breaker.failures === 0 ? breaker : { ...breaker, failures: 0 };
  const failures = breaker.failures + 1;
  if (failures < limit) return { ...breaker, failures };
  const isSoon = breaker.tries > 0 && now - breaker.since < trialDelays.maxMs;
  return open(isSoon ? breaker.tries + 1 : 1, now);
};
