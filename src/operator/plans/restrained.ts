import { type ObjectKey, objectKey } from '../../api/names.ts';
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

const splits = new Remembered<Split, Split>();

/** The Split with this stable, and with its canary or without. */
export const splitOn = (
  resource: Split,
  stable: BoundAdapter,
  former: BoundAdapter | undefined,
  withCanary: boolean,
): Split =>
  splits.of(resource, `${stable.uid} ${stable.digest} ${former?.uid} ${withCanary}`, () => {
    const { canary, weight, mirror } = resource.body;
    return withArms(resource, {
      stable,
      ...(former === undefined ? {} : { former }),
      ...(withCanary && canary !== undefined ? { canary, weight } : {}),
      ...(withCanary && mirror !== undefined ? { mirror } : {}),
    });
  });

/** The Split of a runtime that has none of its adapters. */
export const emptySplit = (resource: Split): Split =>
  splits.of(resource, 'empty', () => {
    const message = `AdapterRollout ${resource.name} has nothing here: this runtime is cordoned and has none of its adapters`;
    return withArms(resource, { message });
  });

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
