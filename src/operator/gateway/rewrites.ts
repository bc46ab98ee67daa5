import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { ResourceType } from '../../kube/client/object.ts';
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

/** What an InferenceModelRewrite is to say, by its name. */
export type Rewrites = ReadonlyMap<string, { readonly rollout: ObjectKey; readonly spec: RewriteSpec }>;

/** Whole weights of at least 1, as the CRD wants them; an arm without a share is left out. */
const targetsOf = ({ metadata, status }: RolloutObject): readonly Target[] => {
  if (status?.stable === undefined) return [];
  const { stable, canary, weights } = status;
  const arms: readonly [string, number][] =
    canary === undefined
      ? [[stable.adapter, 100]]
      : [
          [stable.adapter, weights.stable],
          [canary.adapter, weights.canary],
        ];
  return arms.flatMap(([adapter, share]) => {
    const modelRewrite = objectKey(metadata.namespace, adapter);
    return share > 0 ? [{ modelRewrite, weight: Math.max(1, Math.round(share)) }] : [];
  });
};

/**
 * A rewrite for each rollout that asks for it and whose base model has a pool: the names of the rollout become those of its Adapters, by
 * its present weights.
 */
export const rewritesOf = (
  { rollouts, adapters }: Named,
  names: ModelNames,
  pools: Readonly<Record<string, string>>,
  claims: Claims,
): Rewrites => {
  const rewrites = new Map<string, { rollout: ObjectKey; spec: RewriteSpec }>();
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
    const values = listed.has(plainName(key)) ? [key, plainName(key)] : [key];
    rewrites.set(`adaptlet-${shortHash(key)}`, {
      rollout: key,
      spec: {
        poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: pool },
        rules: [{ matches: values.map((value) => ({ model: { type: 'Exact' as const, value } })), targets }],
      },
    });
  }
  return rewrites;
};
