import type { RolloutObject } from '../api/objects.ts';
import type { RolloutStatus } from '../api/rollout.ts';
import { type Draft, draftOf, type RolloutEvent, type Standing, sameAdapter } from './draft.ts';
import type { AdapterFact, Facts } from './facts.ts';
import { becomeStable, bindCanary, dropCanary, followEdit, giveUp } from './moves.ts';
import { statusOf } from './publish.ts';
import type { RequestVerb, RolloutRequest } from './request.ts';
import { runSteps } from './steps.ts';
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
  readonly request?: RolloutRequest | undefined;
};

export type Decision = {
  /** The same object as before when nothing is different. */
  readonly status: RolloutStatus;
  /** Decide again after so many milliseconds even if nothing happens. */
  readonly requeueAfterMs?: number;
  readonly events: readonly RolloutEvent[];
};

/**
 * One decision about one rollout: pure, so that a node without a cluster and the operator decide alike.
 *
 * Guarantees: at most one canary; stable is replaced only by an adapter that is Resident at that moment; a canary that
 * is given up has weight 0 in the same decision; deciding again with the same facts changes nothing.
 * Assumes: `elapsedMs` starts anew with each decision whose status was kept; a `retry` comes with facts from after holds
 * were released and failed loads were started again: what is still wrong aborts it in the same decision.
 */
export const decide = ({ rollout, facts, now, elapsedMs, request }: DecideInput): Decision => {
  const { metadata, spec, status: before } = rollout;
  const draft = draftOf(before);
  const at = new Date(now).toISOString();
  const target = targetOf(spec.adapter, facts.target, before);
  const verb = takeRequest(draft, request);
  const turn: Turn = { rollout, facts, target, verb, now: at, elapsedMs: countedTime(before, elapsedMs) };
  const standing = draft.stable === undefined ? firstRevision(draft, turn) : nextRevision(draft, turn);

  const { generation } = metadata;
  const status = statusOf(draft, standing, before, {
    generation,
    now: at,
    historyLimit: spec.revisionHistoryLimit,
  });
  const { phase, reason, message, requeueAfterMs } = standing;
  const isNews = phase === 'Degraded' && before?.message !== status.message;
  if (isNews && (reason === 'AdapterFailed' || reason === 'AdapterRemoved'))
    draft.events.push({ reason, message });
  return { status, events: draft.events, ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }) };
};

/** What one decision looks at. */
type Turn = {
  readonly rollout: RolloutObject;
  readonly facts: Facts;
  readonly target: Target;
  readonly verb: RequestVerb | undefined;
  readonly now: string;
  /** Milliseconds to add to a pause that was running before. */
  readonly elapsedMs: number;
};

/** Time counts only while the pause really ran: not while the canary was away or the rollout was held. */
const countedTime = (before: RolloutStatus | undefined, elapsedMs: number): number => {
  const ran = before?.phase === 'Paused' && before.conditions.some((c) => c.reason === 'StepPaused');
  return ran && elapsedMs > 0 ? elapsedMs : 0;
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
  const { rollout, target, verb } = turn;
  const { metadata, spec } = rollout;
  const { steps } = spec.strategy.canary;
  if (target.kind === 'Resolved' && sameAdapter(target.bound, draft.stable)) {
    if (verb !== undefined) refuse(draft, verb, 'no canary is under way');
    dropCanary(draft);
    return settled(draft, target.fact);
  }
  const isNew = target.kind === 'Resolved' && !sameAdapter(target.bound, draft.canary);
  if (isNew) bindCanary(draft, target.bound, { namespace: metadata.namespace, name: metadata.name, steps });
  if (draft.canary === undefined) {
    if (verb !== undefined) refuse(draft, verb, 'no canary is under way');
    return awaiting(target);
  }
  // An abort that arrives together with another adapter is about the rollout as a whole; the other verbs are about a step.
  if (verb !== undefined && (verb === 'abort' || !isNew)) applyVerb(draft, verb, steps, turn.now);
  else if (verb !== undefined) refuse(draft, verb, 'another canary was bound meanwhile');

  const trouble = troubleOf(draft.canary, turn);
  if (trouble !== undefined) giveUp(draft, trouble, turn.now);
  return advance(draft, turn);
};

/** Why the canary must not go on, if so. */
const troubleOf = (canary: NonNullable<Draft['canary']>, { facts, target }: Turn): string | undefined => {
  const held = facts.held?.find(({ digest }) => digest === canary.digest);
  if (held !== undefined) return held.reason;
  if (target.kind !== 'Resolved' || target.fact === undefined) return undefined;
  const { state, reason, message, baseModel } = target.fact;
  if (state === 'Failed') return because(reason, message);
  const ofStable = facts.stable?.baseModel;
  if (ofStable === undefined || ofStable === baseModel) return undefined;
  return `${canary.adapter} is for the base model ${baseModel}, stable for ${ofStable}`;
};

/** The canary is bound; how far it gets. */
const advance = (draft: Draft, { rollout, target, elapsedMs }: Turn): Standing => {
  const { strategy, paused, rollbackWindow } = rollout.spec;
  const { steps } = strategy.canary;
  if (draft.abort !== undefined) {
    const message = `canary was given up, stable serves every request: ${draft.abort.reason}`;
    return { phase: 'Degraded', reason: 'Aborted', message };
  }
  // The spec names something whose content is not known: the canary is not wanted any more, but nothing replaces it yet.
  if (target.kind !== 'Resolved') return awaiting(target);
  const edited = followEdit(draft, steps);
  if (paused) return pausedBySpec(draft);
  if (target.fact?.state !== 'Resident') return awaiting(target);

  const recent = draft.history.slice(0, rollbackWindow.revisions);
  if (recent.some((old) => sameAdapter(old, target.bound))) {
    becomeStable(draft, target.bound, 'FastRolledBack');
    return completed(draft);
  }
  const waiting = runSteps(draft, steps, edited ? 0 : elapsedMs);
  if (waiting !== undefined) return waiting;
  becomeStable(draft, target.bound, 'Promoted');
  return completed(draft);
};

const completed = ({ stable }: Draft): Standing => ({
  phase: 'Healthy',
  reason: 'Completed',
  message: `${stable?.adapter} serves`,
});

/** The spec asks for stable: only its own state matters. Not being in RAM is not an illness, it loads on demand. */
const settled = (draft: Draft, fact: AdapterFact | undefined): Standing => {
  const name = draft.stable?.adapter;
  if (fact === undefined) {
    const message = `Adapter ${name} was removed; what is loaded of it goes on serving`;
    return { phase: 'Degraded', reason: 'AdapterRemoved', message };
  }
  return fact.state === 'Failed' ? failed(`${name}`, fact) : completed(draft);
};

const pausedBySpec = ({ step, weight }: Draft): Standing => {
  const where =
    step === undefined
      ? 'before the first adapter'
      : `at step ${step.index + 1}/${step.total}, canary at ${weight} %`;
  return { phase: 'Paused', reason: 'PausedBySpec', message: `spec.paused holds it ${where}` };
};

/** The adapter of the spec cannot serve yet; says what is missing. */
const awaiting = (target: Target): Standing => {
  if (target.kind === 'Missing') {
    const message = `waits for the Adapter ${target.name}, which does not exist yet`;
    return { phase: 'Progressing', reason: 'AwaitingAdapter', message };
  }
  const name = target.kind === 'Unresolved' ? target.name : target.bound.adapter;
  const { fact } = target;
  if (fact?.state === 'Failed') return failed(name, fact);
  const why = fact === undefined ? '' : because(fact.reason, fact.message);
  const detail = why === '' ? '' : ` (${why})`;
  return target.kind === 'Unresolved'
    ? { phase: 'Progressing', reason: 'AwaitingDigest', message: `waits for the digest of ${name}${detail}` }
    : {
        phase: 'Progressing',
        reason: 'AwaitingResident',
        message: `waits until ${name} is Resident${detail}`,
      };
};

const failed = (name: string, { reason, message }: AdapterFact): Standing => ({
  phase: 'Degraded',
  reason: 'AdapterFailed',
  message: `${name} cannot serve: ${because(reason, message)}`,
});

const because = (reason: string, message: string): string =>
  [reason, message].filter((part) => part !== '').join(': ');
