import { isDeepStrictEqual } from 'node:util';
import {
  conditionsOf,
  cut,
  joinCapped,
  type Observed,
  type Progress,
  readiness,
  verdictsOf,
} from '../api/condition.ts';
import { type MirrorStatus, maxFailuresNamed, type RolloutStatus } from '../api/rollout-status.ts';
import type { SharedAnalyses } from './analysis/shared.ts';
import { type CopyCounts, mirrorStatusOf } from './copies.ts';
import { decidedOf, setAsideType } from './decided.ts';
import type { Draft, Standing } from './draft.ts';
import type { Facts, Fleet } from './facts.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

type RolloutCondition = Observed<ConditionType, ConditionReason>;

const progressOf: Readonly<Record<Standing['phase'], Progress>> = {
  Healthy: 'Current',
  Progressing: 'InProgress',
  Paused: 'InProgress',
  Degraded: 'Failed',
};

const is = (
  type: ConditionType,
  holds: boolean,
  reason: ConditionReason,
  message: string,
): RolloutCondition => ({ type, status: holds ? 'True' : 'False', reason, message });

type Seen = Pick<Facts, 'room' | 'placement' | 'nameConflict' | 'stableFails' | 'fleet'> & {
  /** Of a strategy that refers to something. */
  readonly shared?: SharedAnalyses;
};

const analysesFound = (shared: SharedAnalyses): RolloutCondition =>
  shared.kind === 'Missing'
    ? is('AnalysesFound', false, shared.reason, shared.message)
    : is('AnalysesFound', true, 'AnalysesFound', 'every AdapterAnalysis that it refers to is there');

const schedulable = ({ room, placement }: Pick<Facts, 'room' | 'placement'>): RolloutCondition => {
  if (placement !== undefined) return { type: 'Schedulable', ...placement };
  return room === undefined || room.fits
    ? is('Schedulable', true, 'FitsInRam', 'stable and canary fit into RAM')
    : is('Schedulable', false, 'NoRoom', room.message);
};

/** Runtimes that the message names. */
const maxNamed = 3;

const aside = (fleet: Fleet | undefined): RolloutCondition[] => {
  const { runtimes, failures } = fleet ?? {};
  const count = runtimes?.setAside ?? 0;
  if (runtimes === undefined || failures === undefined || count === 0) return [];
  const named = failures.all.map(({ runtime, reason, message }) => `${runtime} (${reason}: ${message})`);
  const who = `${count} of ${runtimes.desired} runtimes, of which ${failures.allowed} may fail`;
  const message = `the rollout goes on without ${who}; failed: ${joinCapped(named, maxNamed)}`;
  return [is(setAsideType, true, 'WithinMaxFailures', message)];
};

const observations = (
  { phase, reason, message }: Standing,
  stable: Draft['stable'],
  { room, placement, nameConflict, stableFails, fleet, shared }: Seen,
): RolloutCondition[] => [
  is('Progressing', phase === 'Progressing', reason, message),
  phase === 'Paused'
    ? is('Paused', true, reason, message)
    : is('Paused', false, 'NotPaused', 'nothing holds the rollout'),
  stable === undefined
    ? is('Available', false, 'NoStable', message)
    : stableFails !== undefined
      ? is('Available', false, 'StableFails', stableFails)
      : is('Available', true, 'StableServes', `${stable.adapter} is stable`),
  is('Healthy', phase === 'Healthy', reason, message),
  schedulable({ room, placement }),
  ...(shared === undefined ? [] : [analysesFound(shared)]),
  ...aside(fleet),
  ...(nameConflict === undefined
    ? readiness(progressOf[phase], reason, message)
    : readiness<ConditionReason>('Failed', 'NameConflict', nameConflict)),
];

/**
 * The status that a draft amounts to. The very object `before` when nothing is different. `revision` grows by one when
 * anything is that was decided: messages, the time of a pause or a wait and what was observed of the runtimes are written
 * down, but decide nothing.
 */
export const statusOf = (
  draft: Draft,
  standing: Standing,
  before: RolloutStatus | undefined,
  { mirrored, ...seen }: Seen & Pick<Facts, 'mirrored'>,
  at: {
    readonly generation: number;
    readonly now: string;
    readonly historyLimit: number;
    readonly leaderEpoch: number | undefined;
  },
): RolloutStatus => {
  const { stable, canary, attempts, weight, step, progress, analysis, abort, completionStatus } = draft;
  const { analyses } = draft;
  const groups = canary === undefined ? undefined : draft.groups;
  const { lastHandledRequest, lastRefusal } = draft;
  const mirror = mirrorOf(canary, before, mirrored);
  const { fleet } = seen;
  const observed = observations(standing, stable, seen);
  const next: RolloutStatus = {
    observedGeneration: at.generation,
    phase: standing.phase,
    revision: before?.revision ?? 0,
    message: cut(standing.message),
    ...(stable === undefined ? {} : { stable }),
    ...(canary === undefined ? {} : { canary }),
    ...(attempts === 0 ? {} : { attempts }),
    history: draft.history.slice(0, at.historyLimit),
    weights: {
      canary: weight,
      stable: 100 - weight,
      ...(draft.mirror === 0 ? {} : { mirror: draft.mirror }),
      ...(fleet?.observedCanary === undefined ? {} : { observedCanary: fleet.observedCanary }),
    },
    ...(step === undefined ? {} : { step }),
    ...(progress === undefined ? {} : { progress }),
    ...(groups === undefined ? {} : { groups: [...groups] }),
    ...(analysis.length === 0 ? {} : { analysis: [...analysis] }),
    ...(analyses.length === 0 ? {} : { analyses: [...analyses] }),
    ...(mirror === undefined ? {} : { mirror }),
    ...(abort === undefined ? {} : { abort: { ...abort, reason: cut(abort.reason) } }),
    ...timesOf(draft, before, at.now),
    ...(completionStatus === undefined ? {} : { completionStatus }),
    ...(fleet === undefined ? {} : { runtimes: fleet.runtimes }),
    ...(fleet?.apart === undefined ? {} : { apart: [...fleet.apart] }),
    ...(fleet?.failures === undefined ? {} : { failures: fleet.failures.all.slice(0, maxFailuresNamed) }),
    conditions: conditionsOf(observed, before?.conditions, at.now),
    ...(at.leaderEpoch === undefined ? {} : { leaderEpoch: at.leaderEpoch }),
    ...(lastHandledRequest === undefined ? {} : { lastHandledRequest }),
    ...(lastRefusal === undefined ? {} : { lastRefusal: cut(lastRefusal) }),
  };
  if (isDeepStrictEqual(next, before)) return before ?? next;
  const decided = !isDeepStrictEqual(decisionsOf(next), decisionsOf(before));
  return { ...next, revision: next.revision + (decided ? 1 : 0) };
};

/** What mirroring found of the present canary in its attempt; of the last one while there is none. */
const mirrorOf = (
  canary: Draft['canary'],
  before: RolloutStatus | undefined,
  mirrored: CopyCounts | undefined,
): MirrorStatus | undefined => {
  const former = before?.canary;
  const isAnother = canary?.digest !== former?.digest || canary?.attempt !== former?.attempt;
  if (canary !== undefined && isAnother) return undefined;
  const now = mirrored === undefined ? undefined : mirrorStatusOf(mirrored, before?.mirror);
  // A runtime that started anew has counted nothing yet.
  return now ?? before?.mirror;
};

/** When the present or last canary began, and when it ended. */
const timesOf = (
  { canary, abort }: Draft,
  before: RolloutStatus | undefined,
  now: string,
): Pick<RolloutStatus, 'startedAt' | 'finishedAt'> => {
  const begins = canary !== undefined && canary.attempt !== before?.canary?.attempt;
  const startedAt = begins ? now : before?.startedAt;
  if (startedAt === undefined) return {};
  if (canary !== undefined && abort === undefined) return { startedAt };
  return { startedAt, finishedAt: (begins ? undefined : before?.finishedAt) ?? now };
};

/** What of a status was decided, without measurements that changed nothing. */
const decisionsOf = (status: RolloutStatus | undefined): unknown => {
  if (status === undefined) return undefined;
  const { groups, analysis, conditions, ...decided } = decidedOf(status);
  return {
    ...decided,
    groups: groups?.map((group) => ({ ...group, message: '' })),
    analysis: analysis?.map(({ name, step, phase }) => ({ name, step, phase })),
    // Runtimes that come and go are an observation.
    conditions: verdictsOf(conditions.filter(({ type }) => type !== 'Schedulable' && type !== setAsideType)),
  };
};
