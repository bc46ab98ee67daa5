import { parseDuration } from '../api/duration.ts';
import type { Digest } from '../api/names.ts';
import { percentOf } from '../api/percent.ts';
import type { GuardSpec } from '../api/rollout.ts';
import { type ArmCounts, addCounts, countsOf, type GuardWindow, newWindow } from './guard-window.ts';

/** When the guard of a rollout trips, in numbers. */
export type GuardLimits = {
  readonly maxConsecutiveErrors: number;
  /** Percent of the requests in the window; absent: errors are not held against requests. */
  readonly maxErrorPercent?: number;
  /** Absent: nobody looks at latency. */
  readonly maxLatencyMs?: number;
  readonly minRequests: number;
  readonly windowMs: number;
};

/** What `spec.guard` asks for, with the defaults that its description promises. */
export const guardLimits = (spec: GuardSpec): GuardLimits => ({
  maxConsecutiveErrors: spec.maxConsecutiveErrors,
  ...(spec.maxErrorRatio === undefined ? {} : { maxErrorPercent: percentOf(spec.maxErrorRatio) }),
  ...(spec.maxLatency === undefined ? {} : { maxLatencyMs: parseDuration(spec.maxLatency) }),
  minRequests: spec.minRequests ?? 20,
  windowMs: parseDuration(spec.window ?? '60s'),
});

/**
 * How a request of the canary ended. `neutral` says nothing about the adapter: the caller's mistake, a cancellation, the
 * caller's deadline, our own load.
 */
export type GuardOutcome = 'success' | 'failure' | 'neutral';

/** What a guard sees: how a request of the canary ended, or how long one of either side took to answer. */
export type Observation =
  | { readonly kind: 'end'; readonly outcome: GuardOutcome; readonly error?: string }
  | { readonly kind: 'latency'; readonly arm: 'canary' | 'stable'; readonly ms: number };

/** The circuit breaker of one canary of one rollout. Plain data of a bounded size. */
export type GuardState = {
  readonly rolloutUid: string;
  readonly canaryDigest: Digest;
  readonly consecutiveErrors: number;
  /** Absent until something is counted. */
  readonly window?: GuardWindow;
  /** What `slow` in the window was counted with. */
  readonly maxLatencyMs?: number;
  /** Of the last failure. */
  readonly lastError?: string;
  /** Present once it tripped. Only another canary or `retry` starts with a new state. */
  readonly tripped?: { readonly reason: string };
};

export const newGuard = (rolloutUid: string, canaryDigest: Digest): GuardState => ({
  rolloutUid,
  canaryDigest,
  consecutiveErrors: 0,
});

/** Longest part of an error's message that a reason quotes, in characters. */
const maxQuoted = 500;

/**
 * Counts one observation, made at a monotonic time. The same object when nothing is different.
 *
 * Guarantees: trips with an observation of the canary, as soon as one of these holds:
 * - `maxConsecutiveErrors` failures in a row; a success starts the row anew;
 * - of at least `minRequests` requests in the window more than `maxErrorPercent` failed;
 * - of at least `minRequests` in the window more than half took longer than `maxLatencyMs`, unless the same is true of
 *   stable: then the machine is slow, and stable would not be faster. Where stable has fewer requests it does not count.
 *
 * What was under way when it tripped does not close it again. Other limits of latency or another window start the
 * window anew.
 */
export const observe = (
  state: GuardState,
  seen: Observation,
  limits: GuardLimits,
  atMs: number,
): GuardState => {
  if (state.tripped !== undefined) return state;
  const next = seen.kind === 'end' ? ended(state, seen, limits, atMs) : timed(state, seen, limits, atMs);
  if (next === state || (seen.kind === 'latency' && seen.arm === 'stable')) return next;
  const reason = reasonToTrip(next, limits);
  return reason === undefined ? next : { ...next, tripped: { reason } };
};

const ended = (
  state: GuardState,
  { outcome, error = '' }: Extract<Observation, { kind: 'end' }>,
  limits: GuardLimits,
  atMs: number,
): GuardState => {
  if (outcome === 'neutral') return state;
  const failed = outcome === 'failure';
  return {
    ...count(state, 'canary', { ended: 1, errors: failed ? 1 : 0 }, limits, atMs),
    consecutiveErrors: failed ? state.consecutiveErrors + 1 : 0,
    ...(failed ? { lastError: error.slice(0, maxQuoted) } : {}),
  };
};

const timed = (
  state: GuardState,
  { arm, ms }: Extract<Observation, { kind: 'latency' }>,
  limits: GuardLimits,
  atMs: number,
): GuardState =>
  limits.maxLatencyMs === undefined
    ? state
    : count(state, arm, { timed: 1, slow: ms > limits.maxLatencyMs ? 1 : 0 }, limits, atMs);

const count = (
  state: GuardState,
  arm: 'canary' | 'stable',
  counts: Partial<ArmCounts>,
  { windowMs, maxLatencyMs }: GuardLimits,
  atMs: number,
): GuardState => {
  const empty = newWindow(windowMs);
  const { window = empty } = state;
  const goesOn = window.bucketMs === empty.bucketMs && state.maxLatencyMs === maxLatencyMs;
  const { maxLatencyMs: _, ...rest } = state;
  return {
    ...rest,
    ...(maxLatencyMs === undefined ? {} : { maxLatencyMs }),
    window: addCounts(goesOn ? window : empty, arm, counts, atMs),
  };
};

const reasonToTrip = (state: GuardState, limits: GuardLimits): string | undefined => {
  const { consecutiveErrors, lastError = '', window = newWindow(limits.windowMs) } = state;
  const last = lastError === '' ? '' : `, the last one: ${lastError}`;
  if (consecutiveErrors >= limits.maxConsecutiveErrors)
    return `${consecutiveErrors} consecutive errors${last}`;
  const canary = countsOf(window, 'canary');
  const within = `in the last ${limits.windowMs / 1000} s`;
  if (hasTooManyErrors(canary, limits)) {
    return `${canary.errors} of ${canary.ended} requests failed ${within}, more than ${limits.maxErrorPercent} %${last}`;
  }
  const stable = countsOf(window, 'stable');
  if (!isSlow(canary, limits) || isSlow(stable, limits)) return undefined;
  const compared =
    stable.timed < limits.minRequests
      ? `stable: ${stable.slow} of ${stable.timed}, too few to compare`
      : `stable: ${stable.slow} of ${stable.timed}`;
  return `${canary.slow} of ${canary.timed} requests took longer than ${limits.maxLatencyMs} ms ${within} (${compared})`;
};

const hasTooManyErrors = (
  { ended: all, errors }: ArmCounts,
  { minRequests, maxErrorPercent }: GuardLimits,
): boolean => maxErrorPercent !== undefined && all >= minRequests && errors * 100 > maxErrorPercent * all;

const isSlow = ({ timed: all, slow }: ArmCounts, { minRequests }: GuardLimits): boolean =>
  all >= minRequests && slow * 2 > all;
