import { objectKey } from '../../../api/names.ts';
import { type PolicyLimits, policyName, policySpecSchema } from '../../../api/policy.ts';
import { type PolicyResource, resourceKey, versioned } from '../../../plan/resources.ts';
import { buildTable, type RoutingTable } from '../../routing/table.ts';

export const policy = (namespace: string, limits: PolicyLimits, isDefault = false): PolicyResource => ({
  type: 'Policy',
  name: objectKey(namespace, policyName),
  body: { ...policySpecSchema.parse({ limits }), uid: namespace, isDefault },
});

/** The table of a plan with these policies, by namespace, and nothing else. */
export const policyTable = (
  limits: Readonly<Record<string, PolicyLimits>>,
  defaultNamespace?: string,
): RoutingTable => {
  const policies = Object.entries(limits).map(([namespace, own]) =>
    policy(namespace, own, namespace === defaultNamespace),
  );
  const plan = new Map(policies.map((one) => [resourceKey(one), versioned(one)]));
  return buildTable(plan, { name: 'tiny' });
};
