import { type Digest, shortDigest } from '../api/names.ts';
import type { Step } from '../api/rollout.ts';
import type { BoundAdapter } from '../api/rollout-status.ts';
import { type Draft, sameAdapter } from './draft.ts';
import type { RequestVerb } from './request.ts';
import { seedOf } from './splitter.ts';
import { firstStep, stepsHash } from './step-state.ts';

const named = ({ adapter, digest }: { adapter: string; digest: Digest }): string =>
  `${adapter}@${shortDigest(digest)}`;

/** Number of the attempt that begins: higher than that of every hold that any node may still have. */
export const nextAttempt = (draft: Draft): number => ++draft.attempts;

/** Binds another canary, in place of the one that may be under way. Its weight is 0 until its steps run. */
export const bindCanary = (
  draft: Draft,
  bound: BoundAdapter,
  rollout: { readonly namespace: string; readonly name: string; readonly steps: readonly Step[] },
): void => {
  const former = draft.canary;
  if (former !== undefined) {
    draft.events.push({
      reason: 'Superseded',
      message: `canary ${named(former)} gives way to ${named(bound)}`,
    });
  }
  const seed = seedOf(rollout.namespace, rollout.name, bound.digest);
  draft.canary = { ...bound, seed, attempt: nextAttempt(draft) };
  draft.weight = 0;
  draft.mirror = 0;
  draft.step = firstStep(rollout.steps);
  draft.progress = undefined;
  draft.groups = undefined;
  draft.analysis = [];
  draft.analyses = [];
  draft.abort = undefined;
  draft.completionStatus = former === undefined ? undefined : 'Superseded';
  draft.events.push({ reason: 'RolloutStarted', message: `canary is ${named(bound)}` });
};

/** True when the steps or the groups are not those that the canary was going through. */
export const isEdited = (
  draft: Draft,
  steps: readonly Step[],
  groups: { readonly areEdited: boolean },
): boolean => draft.step?.hash !== stepsHash(steps) || groups.areEdited;

/**
 * Starts the steps again when they or the groups were edited; the seed stays, so that the same users come first.
 * A request of this decision to skip the steps stays as well: it is about the steps and groups of now.
 */
export const followEdit = (
  draft: Draft,
  steps: readonly Step[],
  groups: { readonly areEdited: boolean },
  verb: RequestVerb | undefined,
): boolean => {
  const { areEdited } = groups;
  if (!isEdited(draft, steps, groups)) return false;
  draft.groups = undefined;
  if (verb !== 'promote-full' || draft.step?.full !== true) draft.step = firstStep(steps);
  draft.weight = 0;
  draft.mirror = 0;
  draft.analysis = [];
  draft.analyses = [];
  draft.events.push({
    reason: 'RolloutRestarted',
    message: `the ${areEdited ? 'groups' : 'steps'} were edited, the canary starts again at the first`,
  });
  return true;
};

/** Drops the canary because the spec names stable again. */
export const dropCanary = (draft: Draft): void => {
  if (draft.canary === undefined || draft.stable === undefined) return;
  const message = `the spec names ${named(draft.stable)} again, canary ${named(draft.canary)} is dropped`;
  draft.events.push({ reason: 'RolledBack', message });
  draft.canary = undefined;
  draft.weight = 0;
  draft.mirror = 0;
  draft.step = undefined;
  draft.abort = undefined;
  draft.completionStatus = 'RolledBack';
};

/** Gives the canary up: all traffic goes to stable with this decision. A second reason does not replace the first. */
export const giveUp = (draft: Draft, reason: string, now: string): void => {
  if (draft.canary === undefined || draft.abort !== undefined) return;
  const { uid, digest } = draft.canary;
  draft.abort = { at: now, reason, uid, digest };
  draft.weight = 0;
  draft.mirror = 0;
  draft.completionStatus = 'Aborted';
  draft.events.push({ reason: 'Aborted', message: `canary ${named(draft.canary)} was given up: ${reason}` });
};

export const rolledBackByHand = 'rolled back by hand';

/**
 * Goes back from a settled stable to the one before it, in one step: the former stable becomes a canary that was given
 * up, so that the spec, which still names it, starts nothing by itself and `retry` begins its steps.
 * Returns false when there is none before it.
 */
export const goBack = (
  draft: Draft,
  rollout: { readonly namespace: string; readonly name: string; readonly steps: readonly Step[] },
  now: string,
): boolean => {
  const [previous, ...older] = draft.history;
  const former = draft.stable;
  if (previous === undefined || former === undefined) return false;
  draft.stable = previous;
  draft.history = older;
  const seed = seedOf(rollout.namespace, rollout.name, former.digest);
  draft.canary = { ...former, seed, attempt: nextAttempt(draft) };
  draft.step = firstStep(rollout.steps);
  draft.analysis = [];
  draft.analyses = [];
  draft.events.push({
    reason: 'RolledBack',
    message: `${named(previous)} is stable again, ${named(former)} was rolled back`,
  });
  giveUp(draft, rolledBackByHand, now);
  return true;
};

/** Makes an adapter stable, in one step with everything that follows from it. */
export const becomeStable = (
  draft: Draft,
  bound: BoundAdapter,
  how: 'Promoted' | 'FastPromoted' | 'FastRolledBack',
): void => {
  const former = draft.stable;
  const kept = draft.history.filter((old) => !sameAdapter(old, bound) && !sameAdapter(old, former));
  draft.history = former === undefined ? kept : [former, ...kept];
  const { adapter, uid, digest } = bound;
  draft.stable = { adapter, uid, digest };
  draft.canary = undefined;
  draft.weight = 0;
  draft.mirror = 0;
  draft.step = undefined;
  draft.abort = undefined;
  draft.completionStatus = how;
  draft.events.push({ reason: how, message: `${named(bound)} is stable` });
};
