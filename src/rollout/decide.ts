import { analysisRefs } from '../api/analysis-places.ts';
import { conditionOf } from '../api/condition.ts';
import type { RolloutObject } from '../api/objects.ts';
import type { Step } from '../api/rollout.ts';
import type { BoundAdapter, RolloutStatus } from '../api/rollout-status.ts';
import { Analyses, type Found } from './analysis/analyses.ts';
import type { MeasurementRequest } from './analysis/measurement.ts';
import { isAlone, withDeadline } from './deadline.ts';
import { type Draft, draftOf, type RolloutEvent, type Standing, sameAdapter } from './draft.ts';
import type { AdapterFact, Facts } from './facts.ts';
import { advanceGroups, failuresOf } from './groups/advance.ts';
import { applyGroupVerb } from './groups/group-verbs.ts';
import { Groups } from './groups/groups.ts';
import { becomeStable, bindCanary, dropCanary, followEdit, giveUp, goBack, isEdited } from './moves.ts';
import { statusOf } from './publish.ts';
import type { RequestVerb, RolloutRequest } from './request.ts';
import {
  awaiting,
  awaitingAnalysis,
  awaitingVerdict,
  because,
  completed,
  givenUp,
  pausedBySpec,
  settled,
} from './standing.ts';
import { checkpointMs } from './step-state.ts';
import { isReadyFor, runSteps } from './steps.ts';
import { backgroundOf, stepsOf } from './strategy.ts';
import { type Target, targetOf } from './target.ts';
import { applyVerb, refuse, takeRequest } from './verbs.ts';

export type DecideInput = {
  readonly rollout: RolloutObject;
  readonly facts: Facts;
  /** Wall time in milliseconds, for what people read. */
  readonly now: number;
  /**
   * Monotonic milliseconds since the decision that made `rollout.status`, in this process; 0 for the first decision
   * after a start, because time while down does not count.
   */
  readonly elapsedMs: number;
  /** So many of these nobody was connected whom the progress deadline waits for. */
  readonly aloneMs?: number;
  readonly request?: RolloutRequest | undefined;
  /** Term of the leader that decides; absent on a node of its own. */
  readonly leaderEpoch?: number | undefined;
};

export type Decision = {
  /** The same object as before when nothing is different. */
  readonly status: RolloutStatus;
  /** Decide again after so many milliseconds even if nothing happens. */
  readonly requeueAfterMs?: number;
  /** Nobody is connected whom the progress deadline waits for: until the next decision no time passes for it. */
  readonly isAlone: boolean;
  readonly events: readonly RolloutEvent[];
  /** What has to be fetched for the analyses; decide again when it is there. */
  readonly wanted: readonly MeasurementRequest[];
};

/**
 * One decision about one rollout: pure, so that a node without a cluster and the operator decide alike.
 *
 * Guarantees: at most one canary; stable is replaced only by an adapter that is Resident at that moment, everywhere or on
 * as many of the connected runtimes as a preload step asks for; a canary that
 * is given up has weight 0 in the same decision; deciding again with the same facts changes nothing.
 * Assumes: `elapsedMs` starts anew with each decision whose status was kept; a `retry` comes with facts from after failed
 * loads were started again: what is still wrong aborts it in the same decision.
 */
export const decide = (input: DecideInput): Decision => {
  const { rollout, facts, now, elapsedMs, aloneMs = 0, request, leaderEpoch } = input;
  const { metadata, spec, status: before } = rollout;
  const draft = draftOf(before);
  const at = new Date(now).toISOString();
  const target = targetOf(spec.adapter, facts.target, before);
  const verb = takeRequest(draft, request);
  const analyses = new Analyses(draft, facts, rollout);
  const groups = new Groups(draft, rollout, facts, now);
  const turn: Turn = {
    rollout,
    facts,
    target,
    verb,
    now: at,
    elapsedMs: countedTime(before, elapsedMs),
    sinceMs: elapsedMs,
    analyses,
    groups,
  };
  const { generation } = metadata;
  const reached = draft.stable === undefined ? firstRevision(draft, turn) : nextRevision(draft, turn);
  const awaited = { spec, fact: facts.target, ...groups.awaited(facts.target) };
  const standing = withDeadline(draft, reached, {
    ...awaited,
    elapsedMs: Math.max(0, elapsedMs - aloneMs),
    edited: before?.observedGeneration !== generation,
    now: at,
  });
  groups.count(facts.target);
  const { shared } = analyses;
  const isToldOf = shared.kind === 'Missing' || analysisRefs(spec.strategy).length > 0;
  const seen = { ...facts, ...(isToldOf ? { shared } : {}) };
  const status = statusOf(draft, standing, before, seen, {
    generation,
    now: at,
    historyLimit: spec.revisionHistoryLimit,
    leaderEpoch,
  });
  const { phase, reason, message, requeueAfterMs } = standing;
  const isNews =
    phase === 'Degraded' && before?.revision !== status.revision && before?.message !== status.message;
  if (isNews && isTrouble(reason)) draft.events.push({ reason, message });
  if (shared.kind === 'Missing' && conditionOf(before?.conditions, 'AnalysesFound')?.reason !== shared.reason)
    draft.events.push({ reason: shared.reason, message: shared.message });
  return {
    status,
    isAlone: isAlone(awaited.fact),
    events: draft.events,
    wanted: analyses.wanted,
    ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }),
  };
};

/** Why a rollout is Degraded without a move that has an event of its own. */
const troubles = ['AdapterFailed', 'AdapterRemoved', 'ProgressDeadlineExceeded'] as const;
const isTrouble = (reason: string): reason is (typeof troubles)[number] =>
  troubles.some((trouble) => trouble === reason);

/** What one decision looks at. */
type Turn = {
  readonly rollout: RolloutObject;
  readonly facts: Facts;
  readonly target: Target;
  readonly verb: RequestVerb | undefined;
  readonly now: string;
  /** Milliseconds to add to a pause or an analysis step that was running before. */
  readonly elapsedMs: number;
  /** Milliseconds since the decision before. */
  readonly sinceMs: number;
  readonly analyses: Analyses;
  readonly groups: Groups;
};

const running: ReadonlySet<string> = new Set(['StepPaused', 'Analysing', 'GroupBaking']);

/** Time counts only while the step really ran: not while the canary was away or the rollout was held. */
const countedTime = (before: RolloutStatus | undefined, elapsedMs: number): number => {
  const ran = before?.conditions.some(({ reason }) => running.has(reason));
  return ran === true && elapsedMs > 0 ? elapsedMs : 0;
};

/** Before there is a stable adapter: nothing to compare with, so the steps are skipped. */
const firstRevision = (draft: Draft, { rollout, target, verb }: Turn): Standing => {
  if (verb !== undefined)
    refuse(draft, verb, 'no canary is under way: this is the first adapter of the rollout');
  if (target.kind !== 'Resolved' || target.fact?.state !== 'Resident') return awaiting(target);
  if (rollout.spec.paused) return pausedBySpec(draft);
  becomeStable(draft, target.bound, 'Promoted');
  return completed(draft);
};

const nextRevision = (draft: Draft, turn: Turn): Standing => {
  const { rollout, target, verb, facts } = turn;
  const { metadata, spec } = rollout;
  const steps = stepsOf(spec.strategy);
  const named = { namespace: metadata.namespace, name: metadata.name };
  if (target.kind === 'Resolved' && sameAdapter(target.bound, draft.stable)) {
    const [former] = draft.history;
    const whyNot = former && facts.whyNotBack?.(former);
    const isBack = verb === 'rollback' && draft.canary === undefined && whyNot === undefined;
    if (isBack && goBack(draft, { ...named, steps }, turn.now)) {
      // Both had the name that the spec names, and no object has it any more: it means the one that is stable now.
      if (target.fact !== undefined || draft.stable?.adapter !== spec.adapter) return givenUp(draft);
      dropCanary(draft);
      return settled(draft, target.fact, facts.stableFails);
    }
    if (verb !== undefined) refuse(draft, verb, verb === 'rollback' ? noWayBack(former, whyNot) : noCanary);
    dropCanary(draft);
    return settled(draft, target.fact, facts.stableFails);
  }
  const isNew = target.kind === 'Resolved' && !sameAdapter(target.bound, draft.canary);
  if (isNew) bindCanary(draft, target.bound, { ...named, steps });
  if (draft.canary === undefined) {
    if (verb !== undefined) refuse(draft, verb, noCanary);
    return awaiting(target);
  }
  // An abort that arrives together with another adapter is about the rollout as a whole; promote and retry are about a step.
  const isInTime = verb === 'abort' || verb === 'rollback' || !isNew;
  if (verb !== undefined && isInTime) {
    const edited = isEdited(draft, steps, turn.groups);
    const isAboutGroup = applyGroupVerb(draft, turn.groups, verb, { steps, at: turn.now });
    const beside = backgroundOf(spec.strategy);
    const background = beside && turn.analyses.inForce(beside);
    if (!isAboutGroup) applyVerb(draft, verb, { steps, edited, background, now: turn.now });
  }
  if (verb !== undefined && !isInTime) refuse(draft, verb, 'another canary was bound meanwhile');

  const trouble = troubleOf(draft.canary, turn, isInGroups(draft, turn));
  if (trouble !== undefined) giveUp(draft, trouble, turn.now);
  return advance(draft, isNew ? { ...turn, elapsedMs: 0, sinceMs: 0 } : turn);
};

const noCanary = 'no canary is under way';

const noWayBack = (former: BoundAdapter | undefined, why: string | undefined): string =>
  former === undefined || why === undefined
    ? 'there is no former stable'
    : `${former.adapter} would not serve: ${why}`;

/** What was stable lately comes back without steps and to all runtimes at once. */
const wasStableLately = ({ history }: Draft, { rollout, target }: Turn): boolean =>
  target.kind === 'Resolved' &&
  history.slice(0, rollout.spec.rollbackWindow.revisions).some((old) => sameAdapter(old, target.bound));

const isInGroups = (draft: Draft, turn: Turn): boolean =>
  turn.groups.areUsed && !wasStableLately(draft, turn);

/** Why the canary must not go on, if so. */
const troubleOf = (
  canary: NonNullable<Draft['canary']>,
  { facts, target }: Turn,
  inGroups: boolean,
): string | undefined => {
  const held = facts.held?.find(
    ({ digest, attempt }) => digest === canary.digest && attempt >= canary.attempt,
  );
  // In groups a runtime that fails is a failure of its group.
  if (held !== undefined && !inGroups) return held.reason;
  if (target.kind !== 'Resolved' || target.fact === undefined) return undefined;
  const { state, baseModel } = target.fact;
  if (state === 'Failed' && !inGroups) return because(target.fact);
  const ofStable = facts.stable?.baseModel;
  if (ofStable === undefined || ofStable === baseModel) return undefined;
  return `${canary.adapter} is for the base model ${baseModel}, stable for ${ofStable}`;
};

/** The canary is bound; how far it gets. What it does meanwhile is looked at first, whatever else holds the rollout. */
const advance = (draft: Draft, turn: Turn): Standing => {
  if (draft.abort !== undefined) return givenUp(draft);
  const { analyses, sinceMs, now } = turn;
  const spec = backgroundOf(turn.rollout.spec.strategy);
  const looked = analyses.beside(spec, sinceMs);
  const standing = isBad(looked) ? undefined : proceed(draft, turn, looked);
  // A step that gives the canary its first requests begins the analysis as well.
  const begun = looked ?? analyses.beside(spec, 0);
  if (isBad(begun)) giveUp(draft, begun.message, now);
  return standing === undefined || draft.abort !== undefined
    ? givenUp(draft)
    : sooner(standing, begun?.nextMs);
};

const isBad = (found: Found | undefined): found is Found => found?.conclusion === 'RollBack';

const sooner = (standing: Standing, nextMs: number | undefined): Standing =>
  nextMs === undefined
    ? standing
    : {
        ...standing,
        requeueAfterMs: Math.min(standing.requeueAfterMs ?? checkpointMs, nextMs, checkpointMs),
      };

/** A bound canary, whose target is resolved: what the checks of {@link proceed} look at. */
type Passage = {
  readonly draft: Draft;
  readonly turn: Turn;
  readonly target: Extract<Target, { kind: 'Resolved' }>;
  readonly steps: readonly Step[];
  /** What the analysis beside the steps found. */
  readonly looked: Found | undefined;
  /** Was stable lately: it comes back without steps. */
  readonly isRecent: boolean;
  /** Of the canary, where it goes from group to group; undefined: it goes to all runtimes at once. */
  readonly groupFact: AdapterFact | undefined;
  /** The steps or groups were edited: they begin anew. */
  readonly edited: boolean;
  /** Somebody asked for all of it. */
  readonly skipped: boolean;
};

/** Where the rollout stands because of one thing; undefined: that does not hold the canary up. */
type Check = (passage: Passage) => Standing | undefined;

const failedInGroups: Check = ({ draft, turn, groupFact, steps }) =>
  groupFact && failuresOf(draft, { groups: turn.groups, fact: groupFact, at: turn.now, steps });

const pausedByHand: Check = ({ draft, turn }) => (turn.rollout.spec.paused ? pausedBySpec(draft) : undefined);

/** In groups each group waits for its own runtimes. */
const notReady: Check = ({ draft, target, steps, groupFact }) =>
  groupFact === undefined && !isReadyFor(target.fact, steps, draft.step?.index ?? 0)
    ? awaiting(target)
    : undefined;

const backAtOnce: Check = (passage) => (passage.isRecent ? promoted(passage, 'FastRolledBack') : undefined);

/** Whoever skips the steps asks for no verdict. */
const notJudgeable: Check = ({ draft, turn, skipped }) => {
  const problem = skipped ? undefined : turn.analyses.copy();
  return problem && awaitingAnalysis(draft, problem);
};

const inconclusive: Check = ({ draft, looked, edited, skipped }) =>
  looked?.conclusion === 'Pause' && !edited && !skipped ? awaitingVerdict(draft, looked.message) : undefined;

const underWay: Check = ({ draft, turn, target, steps, groupFact, edited }) => {
  const { analyses, groups, now } = turn;
  const elapsedMs = edited ? 0 : turn.elapsedMs;
  const run = (to: typeof target, ms: number): Standing | undefined =>
    runSteps(draft, steps, { target: to, elapsedMs: ms, analyses, now });
  return groupFact === undefined
    ? run(target, elapsedMs)
    : advanceGroups(draft, { groups, steps, target, fact: groupFact, elapsedMs, at: now, run });
};

const promoted = (
  { draft, target }: Passage,
  how: 'Promoted' | 'FastPromoted' | 'FastRolledBack',
): Standing => {
  becomeStable(draft, target.bound, how);
  return completed(draft);
};

/** In this order; the first that says something decides. A canary that none of them holds up becomes stable. */
const checks: readonly Check[] = [
  failedInGroups,
  pausedByHand,
  notReady,
  backAtOnce,
  notJudgeable,
  inconclusive,
  underWay,
];

const proceed = (draft: Draft, turn: Turn, looked: Found | undefined): Standing => {
  const { rollout, target, verb, groups } = turn;
  // The spec names something whose content is not known: the canary is not wanted any more, but nothing replaces it yet.
  if (target.kind !== 'Resolved') return awaiting(target);
  const steps = stepsOf(rollout.spec.strategy);
  const isRecent = wasStableLately(draft, turn);
  const groupFact = isInGroups(draft, turn) ? target.fact : undefined;
  if (isRecent) draft.groups = undefined;
  // Steps that cannot be read are no others: what is under way stays where it is.
  const edited = rollout.invalidAnalyses === undefined && followEdit(draft, steps, groups, verb);
  if (groupFact !== undefined && draft.groups === undefined) groups.restart(steps);
  const skipped = draft.step?.full === true;
  const passage = { draft, turn, target, steps, looked, isRecent, groupFact, edited, skipped };
  for (const check of checks) {
    const standing = check(passage);
    if (standing !== undefined) return standing;
  }
  return promoted(passage, skipped ? 'FastPromoted' : 'Promoted');
};
