import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
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
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import type { RolloutState, RuntimeState } from '../fleet/fleet.ts';

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
  /** Also one that a policy keeps out of the plan. */
  readonly adapterOf: (key: ObjectKey) => Pick<AdapterObject, 'metadata'> | undefined;
  /** Version of a resource that the runtime holds; undefined: it has none, or nobody knows. */
  readonly versionOf: (key: string) => string | undefined;
};

export type Split = Versioned<SplitResource>;

/** Whether the runtime has an adapter of that Split, or is getting it. */
export const hasOf =
  ({ name }: Pick<Split, 'name'>, state: RestrainInput['state']) =>
  ({ adapter, uid }: BoundAdapter): boolean =>
    isHere(adapterAt(state, objectKey(namespaceOf(name), adapter), uid));

/** What the runtime reports of that very rollout, not of a former one with its name. */
export const reportOf = (
  { name, body }: Split,
  { rollouts }: RestrainInput['state'],
): RolloutState | undefined => {
  const report = rollouts.get(name);
  return report?.uid === body.uid ? report : undefined;
};

/** Stable and those before it, newest first. */
export const boundsOf = (rollout: RolloutObject | undefined): BoundAdapter[] => {
  const { stable, history = [] } = rollout?.status ?? {};
  return [...(stable === undefined ? [] : [stable]), ...history];
};

/** Digests of what was stable and was rolled back: by hand it is a canary that was given up, by the spec a former stable. */
export const takenBack = (rollout: RolloutObject | undefined): ReadonlySet<Digest | ''> => {
  const { abort, canary, completionStatus, history = [], stable } = rollout?.status ?? {};
  const [newest] = history;
  const away = new Set<Digest | ''>();
  // A former stable that comes again as a canary, and is given up, was not rolled back.
  const wasStable = !history.some(({ digest }) => digest === canary?.digest);
  if (canary !== undefined && canary.digest === abort?.digest && wasStable) away.add(canary.digest);
  if (completionStatus === 'FastRolledBack' && newest !== undefined) away.add(newest.digest);
  if (stable !== undefined) away.delete(stable.digest);
  return away;
};

/** What a node goes back to from that stable: the next one before it of those that it has, but for what a rollback took away. */
export const formerTo = (
  { digest }: BoundAdapter,
  rollout: RolloutObject | undefined,
  has: (bound: BoundAdapter) => boolean,
): BoundAdapter | undefined => {
  const away = takenBack(rollout);
  const bounds = boundsOf(rollout).filter(has);
  const before = bounds.slice(bounds.findIndex((one) => one.digest === digest) + 1);
  return before.find((one) => !away.has(one.digest));
};

const splits = new Remembered<Split, Split>();

/** The Split with this stable, and with its canary or without. */
export const splitOn = (
  resource: Split,
  stable: BoundAdapter,
  former: BoundAdapter | undefined,
  withCanary: boolean,
): Split =>
  splits.of(resource, `${stable.uid} ${stable.digest} ${former?.uid} ${former?.digest} ${withCanary}`, () => {
    const { canary, weight, mirror } = resource.body;
    return withArms(resource, {
      stable,
      ...(former === undefined ? {} : { former }),
      ...(withCanary && canary !== undefined ? { canary, weight } : {}),
      ...(withCanary && mirror !== undefined ? { mirror } : {}),
    });
  });

/** The Split of a runtime that has none of its adapters. `message`: why, for who asks. */
export const splitWithout = (resource: Split, message: string): Split =>
  splits.of(resource, message, () => withArms(resource, { message }));

const withArms = ({ type, name, body }: Split, arms: Partial<SplitResource['body']>): Split => {
  const { stable: _, former: __, canary: ___, mirror: ____, ...rest } = body;
  return versioned({ type, name, body: { ...rest, weight: 0, message: '', ...arms } });
};

const adapters = new Remembered<Versioned<AdapterResource>, Versioned<AdapterResource>>();

/** The adapter for that tier; `held`: it stays in RAM while something serves it. */
export const wantedAs = (
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
