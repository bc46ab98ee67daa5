import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { namespaceOf } from '../../control/key.ts';
import { Remembered } from '../../plan/remembered.ts';
import {
  type AdapterResource,
  type Plan,
  type SplitResource,
  type Versioned,
  versioned,
} from '../../plan/resources.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import type { RolloutState, RuntimeState } from '../fleet/fleet.ts';
import { hasAdapter } from '../fleet/has-adapter.ts';

/** What a restrained runtime may be sent. */
export type RestrainedPlan = {
  readonly plan: Plan;
  /** Keys that neither change nor go. */
  readonly withheld: ReadonlySet<string>;
  /** Present: all other keys neither change nor go. */
  readonly only?: ReadonlySet<string>;
};

export type RestrainInput = {
  readonly plan: Plan;
  readonly withheld: ReadonlySet<string>;
  /** What the runtime reports. */
  readonly state: Pick<RuntimeState, 'adapters' | 'rollouts'>;
  /** Its own name and labels. */
  readonly runtime: { readonly key: string; readonly labels: Readonly<Record<string, string>> };
  readonly rolloutOf: (key: ObjectKey) => RolloutObject | undefined;
};

type Split = Versioned<SplitResource>;
type Body = SplitResource['body'];

/**
 * The plan of a cordoned runtime: what it does not have is not placed there. A canary that it lacks is not in its Split;
 * where it lacks stable it serves the newest former one that it has. Weights, aborts and rollbacks of what it has come
 * through, and so do routes and what a request asks for by name. Pure.
 */
export const cordonedPlan = ({ plan, withheld, state, rolloutOf }: RestrainInput): RestrainedPlan => {
  const restrained = new Map(plan);
  const kept = new Set(withheld);
  const serving = new Set<ObjectKey>();
  for (const [key, resource] of plan) {
    if (resource.type !== 'Split') continue;
    const has = hasOf(resource, state);
    const { stable, canary } = resource.body;
    if ([stable, canary].every((arm) => arm === undefined || has(arm))) continue;
    const [present, former] = boundsOf(rolloutOf(resource.name)).filter(has);
    const report = reportOf(resource, state);
    if (present !== undefined) {
      const isStable = present.uid === stable?.uid && present.digest === stable.digest;
      restrained.set(
        key,
        splitOn(resource, present, former, isStable && canary !== undefined && has(canary)),
      );
      serving.add(objectKey(namespaceOf(resource.name), present.adapter));
    } else if (report === undefined || report.stableDigest === '') {
      restrained.set(key, emptySplit(resource));
    } else {
      // What it serves is in no status any more: it stays, with its adapters.
      kept.add(key);
      for (const adapter of adaptersOf(report, resource, state)) kept.add(`AdapterSpec ${adapter}`);
    }
  }
  for (const [key, resource] of plan) {
    if (resource.type !== 'AdapterSpec') continue;
    if (serving.has(resource.name)) restrained.set(key, wantedAs(resource, 'Memory', true));
    else if (!hasAdapter(state, resource.name, resource.body.uid))
      restrained.set(key, wantedAs(resource, 'None', false));
  }
  return { plan: restrained, withheld: kept };
};

/**
 * The plan of a held runtime: nothing of it changes but a canary that was given up or replaced, which goes, and a stable
 * that was rolled back to one that the runtime has. Pure.
 */
export const heldPlan = ({
  plan,
  withheld,
  state,
  runtime,
  rolloutOf,
}: RestrainInput): RestrainedPlan & Required<Pick<RestrainedPlan, 'only'>> => {
  const restrained = new Map(plan);
  const only = new Set<string>();
  for (const [key, resource] of plan) {
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

const hasOf =
  ({ name }: Pick<Split, 'name'>, state: RestrainInput['state']) =>
  ({ adapter, uid }: BoundAdapter): boolean =>
    hasAdapter(state, objectKey(namespaceOf(name), adapter), uid);

const reportOf = ({ name, body }: Split, { rollouts }: RestrainInput['state']): RolloutState | undefined => {
  const report = rollouts.get(name);
  return report?.uid === body.uid ? report : undefined;
};

/** Stable and those before it, newest first. */
const boundsOf = (rollout: RolloutObject | undefined): BoundAdapter[] => {
  const { stable, history = [] } = rollout?.status ?? {};
  return [...(stable === undefined ? [] : [stable]), ...history];
};

/** Keys of what it has, of the two digests that it reports. */
const adaptersOf = (
  { stableDigest, canaryDigest }: RolloutState,
  { name }: Split,
  { adapters }: RestrainInput['state'],
): ObjectKey[] => {
  const digests: ReadonlySet<Digest | ''> = new Set([stableDigest, canaryDigest].filter((one) => one !== ''));
  return [...adapters].flatMap(([key, { digest }]) =>
    namespaceOf(key) === namespaceOf(name) && digests.has(digest) ? [key] : [],
  );
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

const splits = new Remembered<Split, Split>();

const splitOn = (
  resource: Split,
  stable: BoundAdapter,
  former: BoundAdapter | undefined,
  withCanary: boolean,
): Split =>
  splits.of(resource, `${stable.uid} ${stable.digest} ${former?.uid} ${withCanary}`, () => {
    const { canary, weight, mirror, ...rest } = withoutArms(resource.body);
    return versioned({
      type: 'Split',
      name: resource.name,
      body: {
        ...rest,
        stable,
        ...(former === undefined ? {} : { former }),
        ...(withCanary && canary !== undefined ? { canary } : {}),
        weight: withCanary ? weight : 0,
        ...(withCanary && mirror !== undefined ? { mirror } : {}),
        message: '',
      },
    });
  });

const emptySplit = (resource: Split): Split =>
  splits.of(resource, 'empty', () => {
    const { canary: _, mirror: __, ...rest } = withoutArms(resource.body);
    const message = `AdapterRollout ${resource.name} has nothing here: this runtime is cordoned and has none of its adapters`;
    return versioned({ type: 'Split', name: resource.name, body: { ...rest, weight: 0, message } });
  });

const withoutArms = (body: Body): Omit<Body, 'stable' | 'former'> => {
  const { stable: _, former: __, ...rest } = body;
  return rest;
};

const adapters = new Remembered<Versioned<AdapterResource>, Versioned<AdapterResource>>();

const wantedAs = (
  resource: Versioned<AdapterResource>,
  tier: AdapterResource['body']['tier'],
  held: boolean,
): Versioned<AdapterResource> => {
  const { type, name, body } = resource;
  if (body.tier === tier && body.held === held) return resource;
  return adapters.of(resource, `${tier} ${held}`, () =>
    versioned({ type, name, body: { ...body, tier, held } }),
  );
};
