import { refusalOfSource } from '../api/allowed-source.ts';
import type { ObjectKey } from '../api/names.ts';
import type { AdapterObject, Manifest, PolicyObject } from '../api/objects.ts';
import { policyName } from '../api/policy.ts';
import { keyOf } from '../api/references.ts';
import { selects } from '../api/selector.ts';
import type { ErrorCode } from '../errors/catalogue.ts';
import { byAge } from './names.ts';

/** Where the policy is that holds for namespaces without one, unless an operator says otherwise. */
export const defaultPolicyNamespace = 'adaptlet-system';

/** The policy that holds for a namespace: its own, else the default one; undefined: neither was written. */
export type PolicyOf = (namespace: string) => PolicyObject | undefined;

/** @param policyNamespace whose policy holds for namespaces without one */
export const policiesIn = (manifests: readonly Manifest[], policyNamespace: string): PolicyOf => {
  const policies = new Map(
    manifests.flatMap((object) =>
      object.kind === 'AdapterPolicy' && object.metadata.name === policyName
        ? [[object.metadata.namespace, object] as const]
        : [],
    ),
  );
  return (namespace) => policies.get(namespace) ?? policies.get(policyNamespace);
};

/** Whether a runtime serves the namespaces that a policy holds for. A pod serves its own; policies choose among nodes. */
export const isServedAt = (
  policy: PolicyObject | undefined,
  {
    scope,
    labels,
  }: { readonly scope?: string | undefined; readonly labels: Readonly<Record<string, string>> },
): boolean => scope !== undefined || selects(policy?.spec.runtimes.nodes, labels);

/** Why a policy keeps an Adapter out of plans. */
export type PolicyRefusal = {
  /** For programs: the reason of a condition. */
  readonly reason: 'SourceNotAllowed' | 'TooManyAdapters';
  /** For people: begins with a code of the error catalogue. */
  readonly message: string;
};

/** Why the source of an Adapter is refused; undefined: it is not. */
export const sourceRefusal = (
  { spec }: AdapterObject,
  policy: PolicyObject | undefined,
): PolicyRefusal | undefined => {
  if (policy === undefined) return undefined;
  const why = refusalOfSource(policy.spec.sources, spec.source, keyOf(policy));
  return why === undefined
    ? undefined
    : { reason: 'SourceNotAllowed', message: withCode('SOURCE_NOT_ALLOWED', `spec.source: ${why}`) };
};

/**
 * The Adapters that policies keep out of plans: those of a source that is not allowed, and of the others of a namespace
 * those that are younger than the oldest ones that count.
 */
export const refusedAdapters = (
  adapters: Iterable<AdapterObject>,
  policyOf: PolicyOf,
): ReadonlyMap<ObjectKey, PolicyRefusal> => {
  const refused = new Map<ObjectKey, PolicyRefusal>();
  for (const [namespace, all] of Map.groupBy(adapters, ({ metadata }) => metadata.namespace)) {
    const policy = policyOf(namespace);
    if (policy === undefined) continue;
    const allowed: AdapterObject[] = [];
    for (const adapter of all) {
      const refusal = sourceRefusal(adapter, policy);
      if (refusal === undefined) allowed.push(adapter);
      else refused.set(keyOf(adapter), refusal);
    }
    const { adapters: limit = Number.POSITIVE_INFINITY } = policy.spec.limits;
    if (allowed.length <= limit) continue;
    allowed.sort(byAge).forEach((adapter, index) => {
      if (index >= limit) refused.set(keyOf(adapter), beyond(index + 1, limit, policy));
    });
  }
  return refused;
};

const beyond = (place: number, limit: number, policy: PolicyObject): PolicyRefusal => ({
  reason: 'TooManyAdapters',
  message: withCode(
    'ADAPTERS_LIMIT',
    `by age it is number ${place} of its namespace, and the policy ${keyOf(policy)} lets the oldest ${limit} count`,
  ),
});

const withCode = (code: ErrorCode, what: string): string => `${code}: ${what}`;
