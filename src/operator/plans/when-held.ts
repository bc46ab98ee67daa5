import { type Digest, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { namespaceOf } from '../../control/key.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import type { RolloutState } from '../fleet/fleet.ts';
import {
  boundsOf,
  hasOf,
  type RestrainedPlan,
  type RestrainInput,
  reportOf,
  type Split,
  splitOn,
  wantedAs,
} from './restrained.ts';

/**
 * The plan of a held runtime: nothing of it changes but policies, keys of callers, a canary that was given up or replaced,
 * which goes, and a stable that was rolled back to one that the runtime has. Pure.
 */
export const planWhenHeld = ({
  plan,
  withheld,
  state,
  runtime,
  rolloutOf,
}: RestrainInput): RestrainedPlan & Required<Pick<RestrainedPlan, 'only'>> => {
  const restrained = new Map(plan);
  const only = new Set<string>();
  for (const [key, resource] of plan) {
    // What a policy denies is denied everywhere, and so is a key that is taken back.
    if (resource.type === 'Policy' || resource.type === 'Keys') only.add(key);
    if (resource.type !== 'Split') continue;
    const rollout = rolloutOf(resource.name);
    const report = reportOf(resource, state);
    if (rollout === undefined || report === undefined || report.stableDigest === '') continue;
    const back = rolledBack(rollout, report, hasOf(resource, state));
    const stable =
      back ??
      (isCanaryGone(rollout, report, runtime)
        ? boundWith(report.stableDigest, rollout, resource, state)
        : undefined);
    if (stable === undefined) continue;
    const bounds = boundsOf(rollout).filter(hasOf(resource, state));
    const former = bounds[bounds.findIndex(({ digest }) => digest === stable.digest) + 1];
    restrained.set(key, splitOn(resource, stable, former, false));
    only.add(key);
    const adapter = `AdapterSpec ${objectKey(namespaceOf(resource.name), stable.adapter)}`;
    const spec = plan.get(adapter);
    if (back === undefined || spec?.type !== 'AdapterSpec') continue;
    restrained.set(adapter, wantedAs(spec, 'Memory', true));
    only.add(adapter);
  }
  return { plan: restrained, withheld, only };
};

/** The adapter with that digest: as the status has it, else as the runtime reports it. */
const boundWith = (
  wanted: Digest | '',
  rollout: RolloutObject,
  { name }: Split,
  { adapters }: RestrainInput['state'],
): BoundAdapter | undefined => {
  const bound = boundsOf(rollout).find(({ digest }) => digest === wanted);
  if (bound !== undefined) return bound;
  for (const [key, { uid, digest }] of adapters) {
    if (digest === '' || digest !== wanted || namespaceOf(key) !== namespaceOf(name)) continue;
    return { adapter: key.slice(key.indexOf('/') + 1), uid, digest };
  }
  return undefined;
};

/** The stable of the rollout, where the one that the runtime serves was rolled back to it. */
const rolledBack = (
  { status }: RolloutObject,
  { stableDigest }: RolloutState,
  has: (bound: BoundAdapter) => boolean,
): BoundAdapter | undefined => {
  const { stable, history = [], abort, canary, completionStatus } = status ?? {};
  if (stable === undefined || stable.digest === stableDigest || !has(stable)) return undefined;
  const byHand = abort?.digest === stableDigest && canary?.digest === stableDigest;
  const bySpec = completionStatus === 'FastRolledBack' && history[0]?.digest === stableDigest;
  return byHand || bySpec ? stable : undefined;
};

/** The canary that the runtime gives requests was given up, also in its group alone, or another one took its place. */
const isCanaryGone = (
  rollout: RolloutObject,
  { canaryDigest, weight, mirror }: RolloutState,
  runtime: RestrainInput['runtime'],
): boolean => {
  const { status, metadata } = rollout;
  if (status === undefined || canaryDigest === '' || (weight === 0 && (mirror?.percentage ?? 0) === 0))
    return false;
  // It became stable elsewhere: that is no reason to take it away here.
  if (boundsOf(rollout).some(({ digest }) => digest === canaryDigest)) return false;
  const isPresent = status.canary?.digest === canaryDigest;
  return !(isPresent && assignmentOf(status, metadata.uid, runtime).isLoaded);
};
