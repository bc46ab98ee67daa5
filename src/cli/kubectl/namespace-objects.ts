import { namespaceSchema } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { policyName } from '../../api/policy.ts';
import { readAdapter, readPolicy, readRollout, readRoute } from '../../operator/objects/read.ts';
import { adapterType, policyType, rolloutType, routeType } from '../../operator/objects/resource-types.ts';
import type { Cluster } from './cluster.ts';

const read = [
  [routeType, readRoute],
  [rolloutType, readRollout],
  [adapterType, readAdapter],
] as const;

/** The policy of a namespace; a list without it: nobody wrote one. */
const policyOf = async (cluster: Pick<Cluster, 'list'>, namespace: string) =>
  (await cluster.list(policyType, { namespace })).filter(({ metadata }) => metadata.name === policyName);

/** That of the operator's namespace is read only for a namespace without a policy of its own. */
const objectsOf = async (
  cluster: Pick<Cluster, 'list'>,
  namespace: string,
  operatorNamespace: string,
): Promise<readonly Manifest[]> => {
  const [own, ...lists] = await Promise.all([
    policyOf(cluster, namespace),
    ...read.map(async ([type, one]) =>
      (await cluster.list(type, { namespace })).flatMap((raw) => one(raw).object ?? []),
    ),
  ]);
  const policies = own.length > 0 ? own : await policyOf(cluster, operatorNamespace);
  return [...lists.flat(), ...policies.flatMap((raw) => readPolicy(raw).object ?? [])];
};

/**
 * What decides about requests of a namespace, its objects and the policy that holds for it; each namespace is read once. A name that can be
 * no namespace has none.
 * @throws as of `Cluster.list`
 */
export const objectsByNamespace = (cluster: Pick<Cluster, 'list'>, operatorNamespace: string) => {
  const known = new Map<string, Promise<readonly Manifest[]>>();
  return async (namespace: string): Promise<readonly Manifest[]> => {
    if (!namespaceSchema.safeParse(namespace).success) return [];
    const objects = known.get(namespace) ?? objectsOf(cluster, namespace, operatorNamespace);
    known.set(namespace, objects);
    return await objects;
  };
};
