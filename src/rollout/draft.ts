import type { GroupStatus } from '../api/group-status.ts';
import type { AnalysisCopy, BoundAdapter, MetricStatus, RolloutStatus } from '../api/rollout-status.ts';
import type { ConditionReason, EventReason } from './reasons.ts';

export type RolloutEvent = { readonly reason: EventReason; readonly message: string };

/** Where a rollout stands after a decision. `requeueAfterMs`: decide again then, although nothing happened. */
export type Standing = {
  readonly phase: RolloutStatus['phase'];
  readonly reason: ConditionReason;
  readonly message: string;
  readonly requeueAfterMs?: number;
};

/** The part of a status that decisions work on. Local to one decision, which changes it in place. */
export type Draft = {
  stable: BoundAdapter | undefined;
  canary: RolloutStatus['canary'];
  /** Attempts so far; that of the canary is the last one. */
  attempts: number;
  history: readonly BoundAdapter[];
  /** Percent allowed for the canary. */
  weight: number;
  /** Percent of the requests that stable answers of which the canary gets a copy. */
  mirror: number;
  step: RolloutStatus['step'];
  progress: RolloutStatus['progress'];
  /** Of the present canary, in their order; absent: all runtimes at once. */
  groups: readonly GroupStatus[] | undefined;
  /** Of the present canary; what it was at its end stays until the next one is bound. */
  analysis: readonly MetricStatus[];
  /** Of the present canary: what its strategy refers to. Emptied where it begins anew, and copied again then. */
  analyses: readonly AnalysisCopy[];
  abort: RolloutStatus['abort'];
  completionStatus: RolloutStatus['completionStatus'];
  lastHandledRequest: string | undefined;
  /** Why that request was refused. */
  lastRefusal: string | undefined;
  readonly events: RolloutEvent[];
};

export const draftOf = (status: RolloutStatus | undefined): Draft => ({
  stable: status?.stable,
  canary: status?.canary,
  attempts: Math.max(status?.attempts ?? 0, status?.canary?.attempt ?? 0),
  history: status?.history ?? [],
  weight: status?.weights.canary ?? 0,
  mirror: status?.weights.mirror ?? 0,
  step: status?.step,
  progress: status?.progress,
  groups: status?.groups,
  analysis: status?.analysis ?? [],
  analyses: status?.analyses ?? [],
  abort: status?.abort,
  completionStatus: status?.completionStatus,
  lastHandledRequest: status?.lastHandledRequest,
  lastRefusal: status?.lastRefusal,
  events: [],
});

/** Same object and same content: one that was deleted and created again under its name is another. */
export const sameAdapter = (a: BoundAdapter, b: BoundAdapter | undefined): boolean =>
  b !== undefined && a.uid === b.uid && a.digest === b.digest;
