import { type Finding, named, ok, warning } from '../finding.ts';
import type { ClusterFacts } from './facts.ts';

/** Operator, runtimes and this program of one version. */
export const versions = ({ deployment, runtimes, version, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'versions';
  const template = 'value' in deployment ? deployment.value?.spec.template.metadata?.labels : undefined;
  const operator = template?.['app.kubernetes.io/version'];
  const known = 'value' in runtimes ? runtimes.value : [];
  const byVersion = Map.groupBy(
    known.filter(({ status }) => status !== undefined),
    ({ status }) => status?.version ?? '',
  );
  const reference = operator ?? version;
  const others = [...byVersion].filter(([of]) => of !== reference);
  const findings: Finding[] = [];
  if (operator !== undefined && operator !== version)
    findings.push(
      warning(
        id,
        `this program is of version ${version}, the operator of ${operator}`,
        `Use the kubectl plug-in of version ${operator}, or upgrade: helm upgrade adaptlet charts/adaptlet -n ${namespace} --reset-then-reuse-values`,
      ),
    );
  for (const [of, group] of others)
    findings.push(
      warning(
        id,
        `runtimes of version ${of}, the operator of ${reference}: ${named(group.map(({ metadata }) => metadata.name))}`,
        `kubectl -n ${namespace} rollout status daemonset -l app.kubernetes.io/component=runtime; a node that is offline is upgraded when it comes back`,
      ),
    );
  if (findings.length > 0) return findings;
  const all = `${known.length} runtimes and this program are of version ${version}`;
  return [
    ok(id, operator === undefined ? `${all}; that of the operator is not known` : `the operator, ${all}`),
  ];
};
