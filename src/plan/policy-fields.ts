import type { PolicySpec, Right } from '../api/policy.ts';

/**
 * Fields of policies that are younger than policies, and values of older fields that are younger than these. A runtime says in
 * its Hello which of them it enforces; it takes no policy that has others. A new field or value of a policy that runtimes enforce
 * gets a line here, and what becomes of the plan of a runtime that does not know it:
 *
 * - `LeaveOut`: the policy comes without it. What the field allows or forbids cannot happen on such a runtime.
 * - `Withhold`: the policy comes without it as well, and no adapter of the namespaces that it holds for does: the
 *   runtime would serve what the field forbids.
 */
export const policyFields = {
  signatures: 'Withhold',
  // Sources of these kinds are in no plan that such a runtime takes.
  'sources.urls': 'LeaveOut',
  'sources.huggingFace': 'LeaveOut',
  // Values. Nobody has such a right there; keys out of Secrets come without it as well.
  'clients.rights.Hints': 'LeaveOut',
  // The operator asks for metrics.
  'sources.metricHosts.*': 'LeaveOut',
} as const;
export type PolicyField = keyof typeof policyFields;

/** Of this version, for the Hello. */
export const enforcedFields: readonly string[] = Object.keys(policyFields);

/** The fields of a policy that a runtime does not know; none: it gets the policy as it is. */
export const unknownFieldsOf = (spec: PolicySpec, known: ReadonlySet<string>): readonly PolicyField[] =>
  (Object.keys(policyFields) as PolicyField[]).filter((field) => !known.has(field) && has(spec, field));

const has = ({ clients, signatures, sources }: PolicySpec, field: PolicyField): boolean => {
  switch (field) {
    case 'signatures':
      return signatures !== undefined;
    case 'sources.urls':
      return sources.urls !== undefined;
    case 'sources.huggingFace':
      return sources.huggingFace !== undefined;
    case 'clients.rights.Hints':
      return [clients.apiKeys, clients.issuers, clients.certificates].some(areHinting);
    case 'sources.metricHosts.*':
      return sources.metricHosts?.some(isAtEveryPort) === true;
  }
};

type Granted = { readonly rights: readonly Right[] };

/** Whether one of these has the right `Hints`. */
export const areHinting = (all: readonly Granted[]): boolean =>
  all.some(({ rights }) => rights.includes('Hints'));

/** The same without the right `Hints`. */
export const withoutHints = <G extends Granted>(all: readonly G[]): G[] =>
  all.map((one) => ({ ...one, rights: one.rights.filter((right) => right !== 'Hints') }));

const isAtEveryPort = (host: string): boolean => host.endsWith(':*');

/** The policy without some of its fields and values. */
export const withoutFields = <P extends PolicySpec>(policy: P, fields: readonly PolicyField[]): P => {
  const { signatures, sources, clients, ...rest } = policy;
  const { urls, huggingFace, metricHosts, ...lists } = sources;
  const isLeft = (field: PolicyField): boolean => !fields.includes(field);
  const hosts = isLeft('sources.metricHosts.*')
    ? metricHosts
    : metricHosts?.filter((host) => !isAtEveryPort(host));
  const { apiKeys, issuers, certificates } = clients;
  return {
    ...rest,
    ...(signatures !== undefined && isLeft('signatures') ? { signatures } : {}),
    clients: isLeft('clients.rights.Hints')
      ? clients
      : {
          ...clients,
          apiKeys: withoutHints(apiKeys),
          issuers: withoutHints(issuers),
          certificates: withoutHints(certificates),
        },
    sources: {
      ...lists,
      ...(hosts === undefined ? {} : { metricHosts: hosts }),
      ...(urls !== undefined && isLeft('sources.urls') ? { urls } : {}),
      ...(huggingFace !== undefined && isLeft('sources.huggingFace') ? { huggingFace } : {}),
    },
  } as P;
};
