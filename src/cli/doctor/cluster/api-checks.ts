import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../plan/canonical.ts';
import { type Finding, named, of, ok, problem, warning } from '../finding.ts';
import type { ClusterFacts, Crd } from './facts.ts';
import { rightText } from './rights.ts';

/** What the chart asks for (kubeVersion). */
const oldestMinor = 30;

export const apiServer = ({ apiServer: asked, server }: ClusterFacts): readonly Finding[] => {
  const id = 'api-server';
  if ('error' in asked)
    return [
      problem(
        id,
        asked.error.what,
        'Check the server that the kubeconfig names and the way to it: kubectl cluster-info',
      ),
    ];
  const { gitVersion } = asked.value;
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  if (Number(major) === 1 && Number(minor) < oldestMinor)
    return [
      problem(
        id,
        `Kubernetes ${gitVersion} at ${server} is older than 1.${oldestMinor}`,
        'Upgrade the cluster.',
      ),
    ];
  return [ok(id, `Kubernetes ${gitVersion} at ${server}`)];
};

/** The API server leaves empty lists and objects of a schema out. */
const withoutEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const isEmpty = (member: unknown): boolean =>
    typeof member === 'object' && member !== null && Object.keys(member).length === 0;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (isEmpty(member) ? [] : [[key, withoutEmpty(member)]])),
  );
};

/** Digest of the schemas of a CRD, as src/cli/doctor/cluster/crd-digests.json has it. */
export const schemaDigest = (versions: Crd['spec']['versions']): string =>
  createHash('sha256')
    .update(canonicalJson(withoutEmpty(versions.map(({ name, schema }) => [name, schema?.openAPIV3Schema]))))
    .digest('hex');

const applyCrds =
  'kubectl apply --server-side --force-conflicts -f crds (of this version), or helm upgrade with crds.install=true';

export const crds = ({ crds: asked, schemas, version }: ClusterFacts): readonly Finding[] => {
  const id = 'crds';
  return of(asked, id, 'the CustomResourceDefinitions', (found) => {
    const names = Object.keys(schemas);
    const missing = names.filter((_, i) => found[i] === undefined);
    if (missing.length > 0) return [problem(id, `the cluster lacks ${named(missing)}`, applyCrds)];
    const there = found.filter((crd) => crd !== undefined);
    const unserved = there.filter(
      ({ status }) =>
        !status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True'),
    );
    if (unserved.length > 0) {
      const what = named(unserved.map(({ metadata }) => metadata.name));
      return [problem(id, `not served yet: ${what}`, `kubectl describe crd ${unserved[0]?.metadata.name}`)];
    }
    const others = there.filter(
      ({ metadata, spec }) => schemaDigest(spec.versions) !== schemas[metadata.name],
    );
    if (others.length > 0) {
      const what = named(others.map(({ metadata }) => metadata.name));
      return [warning(id, `of another version than ${version}: ${what}`, applyCrds)];
    }
    return [ok(id, `${names.length} kinds, of version ${version}`)];
  });
};

export const yourRights = ({ yourMissing }: ClusterFacts): readonly Finding[] => {
  const id = 'your-rights';
  return of(yourMissing, id, 'your rights', (missing) => {
    if (missing.length === 0)
      return [ok(id, 'you may look at everything, and steer rollouts, in all namespaces')];
    const what = named(missing.map(rightText));
    const fix = 'Ask whoever administers the cluster for the ClusterRole "edit", or "view" to look only.';
    return [warning(id, `in all namespaces you may not ${what}`, fix)];
  });
};

export const operatorRights = ({ operatorMissing, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'operator-rights';
  return of(operatorMissing, id, 'the rights of the operator', (missing) => {
    if (missing.length === 0)
      return [ok(id, `ServiceAccount ${namespace}/adaptlet-operator has every right`)];
    const what = named(missing.map(rightText));
    const fix = `helm upgrade adaptlet charts/adaptlet -n ${namespace} --reset-then-reuse-values brings the roles of the chart`;
    return [problem(id, `ServiceAccount ${namespace}/adaptlet-operator may not ${what}`, fix)];
  });
};
