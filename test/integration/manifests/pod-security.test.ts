import { beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { type Manifest, rendered, valuesFile } from './helm.ts';

type Workload = Manifest & { readonly spec: { readonly template: { readonly spec: object } } };

let cluster: Cluster;
let restricted: string;

beforeAll(async () => {
  cluster = await sharedCluster();
  restricted = await cluster.createNamespace('restricted');
  await cluster.kubectlOk([
    'label',
    'namespace',
    restricted,
    'pod-security.kubernetes.io/enforce=restricted',
  ]);
  for (const account of ['adaptlet-operator', 'adaptlet-runtime', 'adaptlet-release-adapters'])
    await cluster.ensureServiceAccount(restricted, account);
});

/** What the API server says to a pod of a workload in a namespace that enforces `restricted`. */
const admission = async (manifests: readonly Manifest[], kind: 'Deployment' | 'DaemonSet' | 'Job') => {
  const workload = manifests.find((manifest) => manifest.kind === kind) as Workload;
  const metadata = { name: 'pod', namespace: restricted };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: workload.spec.template.spec };
  const { code, stderr } = await cluster.kubectlWith(
    { stdin: JSON.stringify(pod) },
    'create',
    '--dry-run=server',
    '-f',
    '-',
  );
  return { code, stderr };
};

describe('PodSecurity restricted', () => {
  it('accepts the operator', async () => {
    expect(await admission(await rendered(), 'Deployment')).toEqual({ code: 0, stderr: '' });
  });

  it('accepts the Job before an uninstall', async () => {
    expect(await admission(await rendered(), 'Job')).toEqual({ code: 0, stderr: '' });
  });

  it('accepts the runtime of values/restricted.yaml', async () => {
    const manifests = await rendered('-f', valuesFile('restricted'));
    expect(await admission(manifests, 'DaemonSet')).toEqual({ code: 0, stderr: '' });
  });

  it('accepts the runtime with its defaults but for the folders of the node and the one who owns them', async () => {
    const { code, stderr } = await admission(await rendered(), 'DaemonSet');
    expect(code).toBe(1);
    const [, violations = ''] = /violates PodSecurity "restricted:latest": (.*)/.exec(stderr) ?? [];
    expect(violations.split('), ').map((violation) => violation.split(' (')[0])).toEqual([
      'unrestricted capabilities',
      'restricted volume types',
      'runAsNonRoot != true',
      'runAsUser=0',
    ]);
    expect(violations).toContain('container "own-data" must not include "CHOWN"');
    expect(violations).toContain('volumes "data", "model" use restricted volume type "hostPath"');
    expect(violations).not.toContain('container "runtime"');
  });
});
