import type { RolloutSpec } from '../api/rollout.ts';
import type { Draft, Standing } from './draft.ts';
import type { AdapterFact } from './facts.ts';
import { giveUp } from './moves.ts';
import { givenUp } from './standing.ts';
import { checkpointMs, durationOf } from './step-state.ts';

type Wait = {
  readonly spec: Pick<RolloutSpec, 'progressDeadline' | 'progressDeadlineAbort'>;
  /** Of the adapter that is awaited. */
  readonly fact: AdapterFact | undefined;
  /** Milliseconds since the decision before in which somebody was connected; they count when that one waited as well. */
  readonly elapsedMs: number;
  /** The spec is another one than in the decision before: the time starts anew. */
  readonly edited: boolean;
  readonly now: string;
};

/**
 * Counts how long a rollout waits without progress, and says so when the deadline has passed. Another reason to wait and
 * another runtime that is ready are progress; one that comes and goes is so only once. While no runtime is connected
 * nobody could make any, and the time stands still.
 */
export const withDeadline = (draft: Draft, standing: Standing, wait: Wait): Standing => {
  if (standing.phase !== 'Progressing' || standing.reason === 'Analysing') {
    draft.progress = undefined;
    return standing;
  }
  const { spec, fact, now } = wait;
  const limitMs = durationOf(spec.progressDeadline);
  const waitedMs = waited(draft, standing, wait, limitMs ?? Number.POSITIVE_INFINITY);
  if (limitMs === undefined || waitedMs < limitMs) {
    if (limitMs === undefined || isAlone(fact)) return standing;
    const { requeueAfterMs = checkpointMs } = standing;
    return { ...standing, requeueAfterMs: Math.min(limitMs - waitedMs, checkpointMs, requeueAfterMs) };
  }
  const message = `no progress for ${spec.progressDeadline}: ${standing.message}`;
  if (!spec.progressDeadlineAbort || draft.canary === undefined)
    return { ...standing, phase: 'Degraded', reason: 'ProgressDeadlineExceeded', message };
  giveUp(draft, message, now);
  draft.progress = undefined;
  return givenUp(draft);
};

/** Nobody is connected who could make progress. */
export const isAlone = (fact: AdapterFact | undefined): boolean => fact?.runtimes?.connected === 0;

const waited = (
  draft: Draft,
  { reason }: Standing,
  { fact, elapsedMs, edited }: Wait,
  limitMs: number,
): number => {
  const { progress: before } = draft;
  const ready = fact?.runtimes?.ready ?? 0;
  if (before === undefined || edited || before.reason !== reason || ready > before.ready) {
    draft.progress = { reason, waitedMs: 0, ready };
    return 0;
  }
  const passed = isAlone(fact) ? 0 : Math.max(0, elapsedMs);
  const waitedMs = Math.min(limitMs, before.waitedMs + passed);
  draft.progress = { ...before, waitedMs };
  return waitedMs;
};
