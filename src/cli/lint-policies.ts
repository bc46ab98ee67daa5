import type { ManifestDocument } from '../api/parse.ts';
import type { Path } from '../api/problems.ts';
import { keyOf } from '../api/references.ts';
import { defaultPolicyNamespace } from '../plan/policies.ts';
import { policyFindings } from '../plan/policy-findings.ts';

type Problem<D> = { readonly document: D; readonly path: Path; readonly reason: string };

/**
 * What of some manifests the policies among them do not allow. Which Adapters are the oldest no file says, so that there are
 * too many is a problem of the policy.
 */
export const policyProblems = <D extends Pick<ManifestDocument, 'manifest'>>(
  documents: readonly D[],
): Problem<D>[] => {
  const policies = new Map(
    documents.flatMap((document) => {
      const { manifest } = document;
      return manifest.kind === 'AdapterPolicy'
        ? [[manifest.metadata.namespace, { document, manifest }] as const]
        : [];
    }),
  );
  const policyOf = (namespace: string) => policies.get(namespace) ?? policies.get(defaultPolicyNamespace);
  const found = documents.flatMap((document): Problem<D>[] => {
    const policy = policyOf(document.manifest.metadata.namespace);
    if (policy === undefined) return [];
    return policyFindings(document.manifest, policy.manifest).map((finding) => ({ document, ...finding }));
  });
  const adapters = documents.filter(({ manifest }) => manifest.kind === 'Adapter');
  const byNamespace = Map.groupBy(adapters, ({ manifest }) => manifest.metadata.namespace);
  for (const [namespace, { length }] of byNamespace) {
    const policy = policyOf(namespace);
    const limit = policy?.manifest.spec.limits.adapters;
    if (policy === undefined || limit === undefined || length <= limit) continue;
    const reason = `spec.limits.adapters: the namespace ${namespace} has ${length} Adapters in these files, and the policy ${keyOf(policy.manifest)} lets the oldest ${limit} count`;
    found.push({ document: policy.document, path: ['spec', 'limits', 'adapters'], reason });
  }
  return found;
};
