import type { PolicyObject } from '../api/objects.ts';
import type { PolicySpec } from '../api/policy.ts';
import { keyOf } from '../api/references.ts';
import { Remembered } from './remembered.ts';
import { type PolicyResource, type Versioned, versioned } from './resources.ts';

const resources = new Remembered<PolicyObject, Versioned<PolicyResource>>();

/**
 * A policy as a runtime gets it. `isServed` false: the runtime is of a node that the policy leaves out. It lets nobody in
 * there; credentials of the default one stay, as those of a gateway are for other namespaces too.
 */
export const policyResource = (
  policy: PolicyObject,
  policyNamespace: string,
  isServed: boolean,
): Versioned<PolicyResource> => {
  const isDefault = policy.metadata.namespace === policyNamespace;
  return resources.of(policy, `${isDefault} ${isServed}`, () => {
    const spec = forRuntimes(policy.spec);
    return versioned({
      type: 'Policy',
      name: keyOf(policy),
      body: { uid: policy.metadata.uid, isDefault, ...(isServed ? spec : closed(spec, isDefault)) },
    });
  });
};

/** Without what the operator alone sees to: runtimes refuse fields that they do not know, and earlier ones do not know these. */
const forRuntimes = ({ clients, runtimes, signatures, ...spec }: PolicySpec): PolicySpec => {
  const { keysFromSecrets: _, rightsFromSecrets: __, ...known } = clients;
  const enforced = signatures?.required === true ? { signatures } : {};
  return { ...spec, ...enforced, clients: known, runtimes: { pods: runtimes.pods } };
};

const closed = (spec: PolicySpec, isDefault: boolean): PolicySpec => ({
  ...spec,
  base: 'Deny',
  clients: {
    ...(isDefault ? spec.clients : { apiKeys: [], issuers: [], certificates: [] }),
    anonymous: 'Deny',
  },
});
