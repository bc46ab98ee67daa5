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

/**
 * What decides about requests of a namespace: its objects, and the policy that holds for it. That of the operator's namespace is read only
 * for a namespace without one of its own.
 * @throws as of `Cluster.list`
 */
export const objectsOf = async (
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
