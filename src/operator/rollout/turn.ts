import { rolloutColumns } from '../../api/columns.ts';
import { conditionOf, conditionsOf } from '../../api/condition.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import type { MeasurementRequest } from '../../rollout/analysis/measurement.ts';
import { type DecideInput, decide } from '../../rollout/decide.ts';
import { setAsideType } from '../../rollout/decided.ts';
import type { RolloutEvent } from '../../rollout/draft.ts';
import type { Facts } from '../../rollout/facts.ts';
import { type RolloutRequest, requestText } from '../../rollout/request.ts';
import { checkpointMs, durationOf } from '../../rollout/step-state.ts';
import { soonest } from '../reconcile/controller.ts';
import { sizeOf } from '../reconcile/runtime-sets.ts';
import { writeRates } from '../reconcile/write-budget.ts';
import { type Attempt, attemptOf } from './attempt.ts';
import { type AttemptCounts, attemptCountsOf } from './attempt-counts.ts';
import { type Change, changeOf, hasPassed } from './change.ts';
import { believedOf, type Compared, comparedOf } from './compared.ts';
import { factsOf } from './facts.ts';
import { observe } from './observe.ts';
import type { AcceptedReason } from './reasons.ts';
import { runtimesOf } from './runtimes.ts';
import { type SetAside, setAsideOf } from './set-aside.ts';
import { acceptedType, type RolloutView } from './view.ts';
import { nextOverdueMs, overdueOf, type Waits, waitsOf } from './waits.ts';

/** Milliseconds that a first observation waits for others. */
export const settleMs = 1000;
/** Milliseconds that a decision waits for the finalizer of the Adapter that it would bind. */
export const keepMs = 2000;
const { pauseMs } = writeRates.AdapterRollout.Observation;
/** Look again after so many milliseconds; what is waited for comes as a change, as a rule. */
const lookAgainMs = 1000;

/** What one process remembers of a rollout between decisions. Monotonic times in milliseconds. */
export type Memory = {
  readonly uid: string;
  /**
   * When the decision was written whose status is in force, or when the first one of this term was made; absent before that,
   * and while it is not known whether a status was written.
   */
  readonly decidedAt?: number;
  /** How long nobody was connected since then, until the last look, and when that was if nobody is. */
  readonly alone?: { readonly ms: number; readonly since?: number };
  /** When an observation was written last. */
  readonly observedAt: number;
  /** Since when there is an observation that was not written. */
  readonly unwrittenSince?: number;
  /** Its place among those of other rollouts; absent before something is due. */
  readonly observesAt?: number;
  /** Since when the Adapter that would be bound has no finalizer. */
  readonly unkeptSince?: number;
  readonly counted?: AttemptCounts;
  readonly waits?: Waits;
  readonly compared?: Compared;
};

export const newMemory = (uid: string): Memory => ({ uid, observedAt: Number.NEGATIVE_INFINITY });

export type TurnInput = {
  readonly view: RolloutView;
  readonly memory: Memory;
  /** Wall time. */
  readonly now: number;
  readonly monotonic: number;
  readonly epoch: number;
  readonly request: RolloutRequest | undefined;
  readonly measured: NonNullable<Facts['measured']>;
  readonly analysis: NonNullable<Facts['analysis']>;
  /** Takes a place among what is not decided of all rollouts: milliseconds until then. */
  readonly placeInMs: () => number;
};

export type Turn = {
  readonly memory: Memory;
  /** Present when it is to be written now. */
  readonly write?: {
    readonly status: RolloutStatus;
    readonly events: readonly TurnEvent[];
    readonly change: Change;
  };
  readonly requeueAfterMs?: number;
  /** What has to be fetched for the next decision. */
  readonly wanted?: readonly MeasurementRequest[];
};

export type TurnEvent = Omit<RolloutEvent, 'reason'> & {
  readonly reason: RolloutEvent['reason'] | 'NameConflict' | 'NotSchedulable' | typeof setAsideType;
};

/**
 * One decision about a rollout over all runtimes, and whether it is worth a write now: pure.
 *
 * Guarantees: decisions are written at once, observations at most every 10 s, the progress of a pause every 30 s, both
 * when it is their turn.
 * Nothing is decided from the silence of runtimes that a new leader has not heard of yet, but what they said before and
 * what people ask for.
 */
export const turnOf = (input: TurnInput): Turn => {
  const { view, monotonic, request } = input;
  const status = view.rollout.status;
  const isAsked = request !== undefined && requestText(request) !== status?.lastHandledRequest;
  const retrying = isAsked && request.verb === 'retry' && isRetryable(status);
  const attempt = attemptOf(status, retrying);
  const memory = remembered(input, attempt);
  if (memory.unkeptSince !== undefined && monotonic - memory.unkeptSince < keepMs) {
    return { memory, requeueAfterMs: lookAgainMs };
  }
  const deadlineMs = deadlineOf(view);
  const overdue = overdueOf(memory.waits, deadlineMs);
  const aside = setAsideOf(view, attempt, { overdue, outliers: memory.compared?.outliers ?? [] });
  const facts = {
    ...factsOf(view, attempt, aside),
    runtimes: runtimesOf(view, attempt),
    reports: believedOf(memory.counted?.reports, aside),
    measured: input.measured,
    analysis: input.analysis,
  };
  if (isUnheard(view, facts) && !isAsked) return { memory, requeueAfterMs: lookAgainMs };
  const turn = weigh(input, memory, facts, aside);
  // A rollout that is late already waits for nothing by itself, but a runtime that came later than the others has its own time.
  return { ...turn, ...soonest(turn.requeueAfterMs, nextOverdueMs(memory.waits, deadlineMs)) };
};

/** A retry begins another attempt: of a canary that was given up, or of a group that failed. */
const isRetryable = (status: RolloutStatus | undefined): boolean =>
  status?.abort !== undefined ||
  status?.groups?.some(({ phase }) => phase === 'Failed' || phase === 'RolledBack') === true;

const deadlineOf = ({ rollout }: RolloutView): number =>
  durationOf(rollout.spec.progressDeadline) ?? Number.POSITIVE_INFINITY;

const remembered = ({ view, memory, monotonic }: TurnInput, attempt: Attempt | undefined): Memory => {
  const { unkeptSince, counted: before, waits: waited, compared: looked, ...rest } = memory;
  const counted = attemptCountsOf(before, view, attempt);
  const compared = comparedOf(looked, counted, sizeOf(view.members), monotonic);
  const isFirst = rest.decidedAt === undefined;
  const waits = waitsOf(waited, view, attempt, { monotonic, deadlineMs: deadlineOf(view), isFirst });
  const isUnkept = view.target !== undefined && !view.target.isKept && !view.target.isDeleting;
  return {
    ...rest,
    ...(isUnkept ? { unkeptSince: unkeptSince ?? monotonic } : {}),
    ...(counted === undefined ? {} : { counted }),
    ...(compared === undefined ? {} : { compared }),
    ...(waits === undefined ? {} : { waits }),
  };
};

/** Runtimes are expected to report, the spec is what it was, and nothing that is known is a reason to act. */
const isUnheard = ({ rollout, members }: RolloutView, { target, held = [] }: Facts): boolean =>
  members.some(({ isSilent }) => isSilent) &&
  rollout.status?.observedGeneration === rollout.metadata.generation &&
  target?.state !== 'Failed' &&
  held.length === 0;

const weigh = (
  input: TurnInput,
  { decidedAt = input.monotonic, ...memory }: Memory,
  facts: Facts,
  aside: SetAside,
): Turn => {
  const { view, now, monotonic, epoch, request } = input;
  const { alone } = memory;
  const aloneMs = (alone?.ms ?? 0) + (alone?.since === undefined ? 0 : monotonic - alone.since);
  const elapsedMs = monotonic - decidedAt;
  const times = { now, elapsedMs, aloneMs };
  const base: DecideInput = { rollout: view.rollout, facts, ...times, request, leaderEpoch: epoch };
  // Who follows a status can be said once it is there: the decision does not depend on it.
  const fleet = observe(view, decide(base).status, aside);
  const decision = decide({ ...base, facts: { ...facts, fleet } });
  const { status, isNewConflict } = withAccepted(decision.status, view, new Date(now).toISOString());
  const change = changeOf(view.written, status);
  const events: TurnEvent[] = [...decision.events];
  if (isNewConflict) events.push({ reason: 'NameConflict', message: view.nameConflict ?? '' });

  const nowhere = conditionOf(status.conditions, 'Schedulable');
  const before = conditionOf(view.written?.conditions, 'Schedulable');
  if (nowhere?.status === 'False' && before?.reason !== nowhere.reason)
    events.push({ reason: 'NotSchedulable', message: nowhere.message });
  const without = conditionOf(status.conditions, setAsideType);
  const known = new Set(view.written?.failures?.map(({ runtime }) => runtime));
  if (without !== undefined && status.failures?.some(({ runtime }) => !known.has(runtime)) === true)
    events.push({ reason: setAsideType, message: without.message });

  const unwrittenSince = change === 'Observation' ? (memory.unwrittenSince ?? monotonic) : undefined;
  const { unwrittenSince: _, observesAt: given, ...rest } = memory;
  const aloneSince = decision.isAlone ? { since: monotonic } : {};
  const kept: Memory = { ...rest, decidedAt, alone: { ms: aloneMs, ...aloneSince } };
  const { wanted } = decision;
  const observedIn =
    Math.max((unwrittenSince ?? monotonic) + settleMs, memory.observedAt + pauseMs) - monotonic;
  const passedIn = hasPassed(view.written, status)
    ? decidedAt + checkpointMs - monotonic
    : Number.POSITIVE_INFINITY;
  const dueInMs = {
    Decision: 0,
    Observation: Math.min(observedIn, passedIn),
    Progress: passedIn,
    None: Number.POSITIVE_INFINITY,
  }[change];
  // Places that nobody used would pile up, and all could write at once: only what is due has one.
  const isPaced = change !== 'Decision' && dueInMs <= 0;
  const observesAt = isPaced ? (given ?? monotonic + input.placeInMs()) : undefined;
  const writesInMs = observesAt === undefined ? dueInMs : observesAt - monotonic;
  if (writesInMs > 0) {
    const requeueAfterMs = Math.min(decision.requeueAfterMs ?? Number.POSITIVE_INFINITY, writesInMs);
    return {
      memory: {
        ...kept,
        ...(unwrittenSince === undefined ? {} : { unwrittenSince }),
        ...(observesAt === undefined ? {} : { observesAt }),
      },
      wanted,
      ...(Number.isFinite(requeueAfterMs) ? { requeueAfterMs } : {}),
    };
  }
  return {
    memory: {
      ...kept,
      decidedAt: monotonic,
      alone: { ms: 0, ...aloneSince },
      observedAt: change === 'Observation' ? monotonic : kept.observedAt,
    },
    write: { status, events, change },
    wanted,
    ...(decision.requeueAfterMs === undefined ? {} : { requeueAfterMs: decision.requeueAfterMs }),
  };
};

const withAccepted = (status: RolloutStatus, { nameConflict, written }: RolloutView, now: string) => {
  const accepted = conditionOf(written?.conditions, acceptedType);
  const reason: AcceptedReason = nameConflict === undefined ? 'Accepted' : 'NameConflict';
  const conditions = conditionsOf(
    [
      {
        type: acceptedType,
        status: nameConflict === undefined ? 'True' : 'False',
        reason,
        message: nameConflict ?? 'its name is its own',
      },
    ],
    accepted === undefined ? [] : [accepted],
    now,
  );
  return {
    status: { ...status, columns: rolloutColumns(status), conditions: [...status.conditions, ...conditions] },
    isNewConflict: nameConflict !== undefined && accepted?.status !== 'False',
  };
};
