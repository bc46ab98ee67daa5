import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter, RolloutStatus } from '../../api/rollout-status.ts';
import { isSelective } from '../../api/selector.ts';
import type { ResourceType } from '../../kube/client/object.ts';
import { assignmentIn } from '../../rollout/groups/assignment.ts';
import { isInhabited } from '../../rollout/groups/membership.ts';
import { type Claims, type ModelNames, type Named, plainName, shortHash } from './models.ts';

/** Of llm-d. */
export const rewriteType: ResourceType = {
  group: 'llm-d.ai',
  version: 'v1alpha2',
  kind: 'InferenceModelRewrite',
  plural: 'inferencemodelrewrites',
  namespaced: true,
};

/** `"true"` on an AdapterRollout: gateways split its requests, and not the runtimes. */
export const rewriteAnnotation = 'adaptlet.io/gateway-rewrite';

type Target = { readonly modelRewrite: string; readonly weight: number };
export type RewriteSpec = {
  readonly poolRef: { readonly group: string; readonly kind: string; readonly name: string };
  readonly rules: readonly {
    readonly matches: readonly { readonly model: { readonly type: 'Exact'; readonly value: string } }[];
    readonly targets: readonly Target[];
  }[];
};

type Rewrite = {
  readonly rollout: ObjectKey;
  /** Where its weights are from, for people. */
  readonly note: string;
  readonly spec: RewriteSpec;
};

/** `byName`: what an InferenceModelRewrite is to say; `selective`: rollouts that ask for one and get none. */
export type Rewrites = {
  readonly byName: ReadonlyMap<string, Rewrite>;
  readonly selective: readonly ObjectKey[];
};

/**
 * Percent of the requests of the whole pool that may name the canary. A gateway knows no groups, so it is what the group is given that is
 * given least: nothing before the last one has begun.
 */
const canaryShareOf = (status: RolloutStatus): number => {
  const { weights, groups = [] } = status;
  const given = groups
    .filter(isInhabited)
    .map((group) => assignmentIn(status, group, group.open === undefined).weight);
  return Math.min(weights.canary, ...given);
};

const noteOf = ({ status }: RolloutObject): string =>
  status?.groups === undefined
    ? 'the weights of the rollout'
    : 'the rollout is in groups, of which gateways know nothing: the canary gets what the group does that is given least, and nothing before the last group has begun';

/** Weights of at least 1, as the CRD wants them; an arm without a share is left out. */
const targetsOf = ({ metadata, status }: RolloutObject): readonly Target[] => {
  if (status?.stable === undefined) return [];
  const { stable, canary } = status;
  const target = ({ adapter }: BoundAdapter, weight: number): Target => {
    return { modelRewrite: objectKey(metadata.namespace, adapter), weight };
  };
  if (canary === undefined) return [target(stable, 100)];
  const share = canaryShareOf(status);
  return [target(stable, 100 - share), target(canary, share)].filter(({ weight }) => weight > 0);
};

/**
 * A rewrite for each rollout that asks for it and whose base model has a pool: the names of the rollout become those of its Adapters, by
 * its present weights; of one in groups no more for the canary than every group gives it. None for a rollout of some runtimes alone: a
 * gateway may choose any of the pool, also one that the rollout leaves out.
 */
export const rewritesOf = (
  { rollouts, adapters }: Named,
  names: ModelNames,
  pools: Readonly<Record<string, string>>,
  claims: Claims,
): Rewrites => {
  const byName = new Map<string, Rewrite>();
  const selective: ObjectKey[] = [];
  // A plain name that is listed means one object of all namespaces.
  const listed = new Set([...names.values()].flat());
  for (const { key, object, metadata } of rollouts.list()) {
    if (object === undefined || metadata.deletionTimestamp !== undefined) continue;
    if (metadata.annotations?.[rewriteAnnotation] !== 'true' || claims.conflictOf(object) !== undefined)
      continue;
    const adapter = adapters.get(objectKey(object.metadata.namespace, object.spec.adapter))?.object;
    const pool = adapter === undefined ? undefined : pools[adapter.spec.baseModel];
    const targets = targetsOf(object);
    if (pool === undefined || targets.length === 0) continue;
    if (isSelective(object.spec.runtimeSelector)) {
      selective.push(key);
      continue;
    }
    const values = listed.has(plainName(key)) ? [key, plainName(key)] : [key];
    byName.set(`adaptlet-${shortHash(key)}`, {
      rollout: key,
      note: noteOf(object),
      spec: {
        poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: pool },
        rules: [{ matches: values.map((value) => ({ model: { type: 'Exact' as const, value } })), targets }],
      },
    });
  }
  return { byName, selective };
};
