import { namespaceSchema } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { policyName } from '../../api/policy.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
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

export type ReadObjects = {
  readonly operatorNamespace: string;
  /** Told what could not be read, and what that means for the answer. */
  readonly warn: (text: string) => void;
};

/** The policy for namespaces without one of their own. Who may not read it is told so. */
const defaultPolicy = async (
  cluster: Pick<Cluster, 'list'>,
  namespace: string,
  { operatorNamespace, warn }: ReadObjects,
) => {
  try {
    return await policyOf(cluster, operatorNamespace);
  } catch (error) {
    if (errorCodeOf(error) !== 'KUBE_FORBIDDEN') throw error;
    warn(
      `namespace ${namespace} has no AdapterPolicy, and you may not read the one in ${operatorNamespace} that would hold for it: what follows is as if there were none`,
    );
    return [];
  }
};

/** That of the operator's namespace is read only for a namespace without a policy of its own. */
const objectsOf = async (
  cluster: Pick<Cluster, 'list'>,
  namespace: string,
  how: ReadObjects,
): Promise<readonly Manifest[]> => {
  const [own, ...lists] = await Promise.all([
    policyOf(cluster, namespace),
    ...read.map(async ([type, one]) =>
      (await cluster.list(type, { namespace })).flatMap((raw) => one(raw).object ?? []),
    ),
  ]);
  const policies = own.length > 0 ? own : await defaultPolicy(cluster, namespace, how);
  return [...lists.flat(), ...policies.flatMap((raw) => readPolicy(raw).object ?? [])];
};

/**
 * What decides about requests of a namespace, its objects and the policy that holds for it; each namespace is read once. A name that can be
 * no namespace has none.
 * @throws as of `Cluster.list`
 */
export const objectsByNamespace = (cluster: Pick<Cluster, 'list'>, how: ReadObjects) => {
  const known = new Map<string, Promise<readonly Manifest[]>>();
  return async (namespace: string): Promise<readonly Manifest[]> => {
    if (!namespaceSchema.safeParse(namespace).success) return [];
    const objects = known.get(namespace) ?? objectsOf(cluster, namespace, how);
    known.set(namespace, objects);
    return await objects;
  };
};
