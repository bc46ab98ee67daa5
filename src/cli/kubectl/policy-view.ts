import type { PolicyObject } from '../../api/objects.ts';
import type { PolicySpec } from '../../api/policy.ts';
import { fieldLine } from './output.ts';

const counted = (count: number, word: string): string[] =>
  count === 0 ? [] : [`${count} ${word}${count === 1 ? '' : 's'}`];

/** What clients may show, in a few words; '' for nothing. */
export const credentialsText = ({
  apiKeys,
  issuers,
  certificates,
  keysFromSecrets,
}: PolicySpec['clients']): string =>
  [
    ...counted(apiKeys.length, 'key'),
    ...(keysFromSecrets === 'Allow' ? ['keys from Secrets'] : []),
    ...counted(issuers.length, 'issuer'),
    ...counted(certificates.length, 'certificate'),
  ].join(', ');

/** Labels of the nodes that serve the namespace. */
export const nodesText = ({ nodes }: PolicySpec['runtimes']): string => {
  const labels = Object.entries(nodes?.matchLabels ?? {}).map(([label, value]) => `${label}=${value}`);
  return labels.length === 0 ? 'all' : labels.sort().join(',');
};

const allowed = (list: readonly string[] | undefined): string => {
  if (list === undefined) return 'any';
  return list.length === 0 ? 'none' : list.join(', ');
};

const amountText = (amount: unknown): string =>
  typeof amount === 'object' && amount !== null
    ? Object.entries(amount)
        .map(([field, value]) => `${field} ${String(value)}`)
        .join(', ')
    : String(amount);

const clientLines = ({ clients }: PolicySpec): string[] => {
  const rights = (list: readonly string[] = []): string => (list.length === 0 ? '' : `, ${list.join(', ')}`);
  const tenantOf = (tenant: string | undefined): string => (tenant === undefined ? '' : `, tenant ${tenant}`);
  return [
    `anonymous: ${clients.anonymous}`,
    ...clients.apiKeys.map(
      ({ name, expires, tenant, ...key }) =>
        `key ${name}${tenantOf(tenant)}${rights(key.rights)}${expires === undefined ? '' : `, until ${expires}`}`,
    ),
    ...(clients.keysFromSecrets === 'Allow' ? [`keys from Secrets${rights(clients.rightsFromSecrets)}`] : []),
    ...clients.issuers.map(
      ({ name, issuer, tenant, ...more }) =>
        `tokens of ${name} (${issuer})${tenantOf(tenant)}${rights(more.rights)}`,
    ),
    ...clients.certificates.map(
      ({ name, commonName, tenant, ...more }) =>
        `certificate ${name} (CN=${commonName})${tenantOf(tenant)}${rights(more.rights)}`,
    ),
  ];
};

const lines = (label: string, texts: readonly string[]): string[] =>
  texts.map((text, i) => fieldLine(i === 0 ? label : '', text));

/** What a namespace may use, as text. */
export const policyView = ({ metadata, spec }: PolicyObject): string => {
  const limits = Object.entries(spec.limits).flatMap(([field, amount]) =>
    amount === undefined ? [] : [`${field}: ${amountText(amount)}`],
  );
  const { registries, paths, metricHosts } = spec.sources;
  return [
    fieldLine('Name', metadata.name),
    fieldLine('Namespace', metadata.namespace),
    ...lines('Clients', clientLines(spec)),
    ...lines('Sources', [
      `registries: ${allowed(registries)}`,
      `paths: ${allowed(paths)}`,
      `metrics: ${allowed(metricHosts)}`,
    ]),
    ...lines('Limits', limits.length === 0 ? ['none'] : limits),
    fieldLine('Base', spec.base),
    ...lines('Runtimes', [`pods: ${spec.runtimes.pods}`, `nodes: ${nodesText(spec.runtimes)}`]),
    '',
  ].join('\n');
};
