import type { Digest } from '../api/names.ts';

/**
 * How a request of the canary ended. `neutral` says nothing about the adapter: the caller's mistake, a cancellation, the
 * caller's deadline, our own load.
 */
export type GuardOutcome = 'success' | 'failure' | 'neutral';

/** The circuit breaker of one canary of one rollout. Plain data: it survives a restart as JSON. */
export type GuardState = {
  readonly rolloutUid: string;
  readonly canaryDigest: Digest;
  readonly consecutiveErrors: number;
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
 * Counts the end of one request. The same object when nothing is different.
 *
 * Guarantees: trips with the failure that makes `maxConsecutiveErrors` in a row; a success starts the row anew; answers
 * that were under way when it tripped do not close it again.
 */
export const observe = (
  state: GuardState,
  outcome: GuardOutcome,
  limit: { readonly maxConsecutiveErrors: number },
  error = '',
): GuardState => {
  if (state.tripped !== undefined || outcome === 'neutral') return state;
  if (outcome === 'success')
    return state.consecutiveErrors === 0 ? state : { ...state, consecutiveErrors: 0 };
  const consecutiveErrors = state.consecutiveErrors + 1;
  if (consecutiveErrors < limit.maxConsecutiveErrors) return { ...state, consecutiveErrors };
  const last = error === '' ? '' : `, the last one: ${error.slice(0, maxQuoted)}`;
  return {
    ...state,
    consecutiveErrors,
    tripped: { reason: `${consecutiveErrors} consecutive errors${last}` },
  };
};
