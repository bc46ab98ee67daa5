import { isDeepStrictEqual } from 'node:util';
import { type Condition, maxStatusMessage } from '../api/condition.ts';
import type { RolloutStatus } from '../api/rollout-status.ts';
import type { Draft, Standing } from './draft.ts';
import type { Facts } from './facts.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

/** Well-formed: the API server would store something else than half a character, and every look would differ from it. */
const cut = (message: string): string => message.slice(0, maxStatusMessage).toWellFormed();

type Observation = {
  readonly type: ConditionType;
  readonly holds: boolean;
  readonly reason: ConditionReason;
  readonly message: string;
};

const observations = (
  { phase, reason, message }: Standing,
  stable: Draft['stable'],
  room: Facts['room'],
): Observation[] => [
  { type: 'Progressing', holds: phase === 'Progressing', reason, message },
  phase === 'Paused'
    ? { type: 'Paused', holds: true, reason, message }
    : { type: 'Paused', holds: false, reason: 'NotPaused', message: 'nothing holds the rollout' },
  stable === undefined
    ? { type: 'Available', holds: false, reason: 'NoStable', message }
    : { type: 'Available', holds: true, reason: 'StableServes', message: `${stable.adapter} is stable` },
  { type: 'Healthy', holds: phase === 'Healthy', reason, message },
  room === undefined || room.fits
    ? { type: 'Schedulable', holds: true, reason: 'FitsInRam', message: 'stable and canary fit into RAM' }
    : { type: 'Schedulable', holds: false, reason: 'NoRoom', message: room.message },
];

/**
 * The status that a draft amounts to. The very object `before` when nothing is different. `revision` grows by one when
 * anything is that was decided: the progress of a pause and what was observed of the runtimes are written down, but
 * decide nothing.
 */
export const statusOf = (
  draft: Draft,
  standing: Standing,
  before: RolloutStatus | undefined,
  { room, fleet }: Pick<Facts, 'room' | 'fleet'>,
  at: {
    readonly generation: number;
    readonly now: string;
    readonly historyLimit: number;
    readonly leaderEpoch: number | undefined;
  },
): RolloutStatus => {
  const { stable, canary, weight, step, abort, completionStatus, lastHandledRequest, lastRefusal } = draft;
  const conditions = observations(standing, stable, room).map(
    ({ type, holds, reason, message }): Condition => {
      const status = holds ? 'True' : 'False';
      const old = before?.conditions.find((condition) => condition.type === type);
      const lastTransitionTime = old?.status === status ? old.lastTransitionTime : at.now;
      return { type, status, reason, message: cut(message), lastTransitionTime };
    },
  );
  const next: RolloutStatus = {
    observedGeneration: at.generation,
    phase: standing.phase,
    revision: before?.revision ?? 0,
    message: cut(standing.message),
    ...(stable === undefined ? {} : { stable }),
    ...(canary === undefined ? {} : { canary }),
    history: draft.history.slice(0, at.historyLimit),
    weights: {
      canary: weight,
      stable: 100 - weight,
      ...(fleet?.observedCanary === undefined ? {} : { observedCanary: fleet.observedCanary }),
    },
    ...(step === undefined ? {} : { step }),
    ...(abort === undefined ? {} : { abort: { ...abort, reason: cut(abort.reason) } }),
    ...(completionStatus === undefined ? {} : { completionStatus }),
    ...(fleet === undefined ? {} : { runtimes: fleet.runtimes }),
    conditions,
    ...(at.leaderEpoch === undefined ? {} : { leaderEpoch: at.leaderEpoch }),
    ...(lastHandledRequest === undefined ? {} : { lastHandledRequest }),
    ...(lastRefusal === undefined ? {} : { lastRefusal: cut(lastRefusal) }),
  };
  if (isDeepStrictEqual(next, before)) return before ?? next;
  const decided = !isDeepStrictEqual(decisionsOf(next), decisionsOf(before));
  return { ...next, revision: next.revision + (decided ? 1 : 0) };
};

/** A status without progress and observations. */
const decisionsOf = (status: RolloutStatus | undefined): unknown => {
  if (status === undefined) return undefined;
  const { runtimes: _, leaderEpoch: __, weights, step, ...decisions } = status;
  return { ...decisions, weight: weights.canary, step: step && { ...step, elapsedMs: 0 } };
};
