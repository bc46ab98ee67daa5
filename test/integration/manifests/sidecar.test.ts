import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inject } from '../../../src/operator/injection/patch.ts';
import type { Pod } from '../../../src/operator/injection/pod.ts';
import { readSidecar, type Sidecar } from '../../../src/operator/injection/template.ts';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { sidecarText, valuesFile } from './helm.ts';

const folder = mkdtempSync(join(tmpdir(), 'adaptlet-chart-sidecar-'));
let cluster: Cluster;
let restricted: string;
beforeAll(async () => {
  cluster = await sharedCluster();
  restricted = await cluster.createNamespace('restricted');
  const level = 'pod-security.kubernetes.io/enforce=restricted';
  await cluster.kubectlOk(['label', 'namespace', restricted, level]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The sidecar of the chart, as the operator reads it. */
const sidecarOf = async (...args: readonly string[]): Promise<Sidecar> => {
  const file = join(folder, 'sidecar.yaml');
  writeFileSync(file, await sidecarText(...args));
  return readSidecar(file);
};

/** As strict as PodSecurity `restricted` wants it. */
const app = {
  name: 'app',
  image: 'app',
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    runAsUser: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  },
};
const pod: Pod = {
  metadata: { name: 'app', labels: { 'adaptlet.io/inject': 'true' } },
  spec: { containers: [app] },
};

/** What the API server of a namespace says to the pod with its sidecar. */
const admission = async (sidecar: Sidecar, namespace: string) => {
  const injection = inject(pod, sidecar);
  if (injection.kind !== 'Injected') throw new Error(JSON.stringify(injection));
  const values = Object.fromEntries(
    injection.operations.map(({ path, value }) => [path.replace('/spec/', ''), value]),
  );
  const object = { apiVersion: 'v1', kind: 'Pod', ...pod, spec: { ...pod.spec, ...values } };
  const { code, stderr } = await cluster.kubectlWith(
    { stdin: JSON.stringify(object) },
    '-n',
    namespace,
    'create',
    '--dry-run=server',
    '-f',
    '-',
  );
  return { code, stderr };
};

describe('the sidecar of the chart', () => {
  it('is one that the operator takes, with what the values say', async () => {
    const { container, volumes, imagePullSecrets } = await sidecarOf('-f', valuesFile('sidecars'));
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
    expect(env).toMatchObject({
      ADAPTLET_RUNTIME_KIND: 'pod',
      ADAPTLET_GRPC_LISTEN: '127.0.0.1:19000',
      ADAPTLET_HTTP_LISTEN: '127.0.0.1:18080',
      ADAPTLET_HEALTH_LISTEN: '0.0.0.0:18090',
      ADAPTLET_ADAPTER_MEMORY: '64Mi',
    });
    expect(volumes.every(({ name }) => name.startsWith('adaptlet-'))).toBe(true);
    expect(imagePullSecrets).toEqual([{ name: 'images' }]);
  });

  it('has a place for everything that it mounts', async () => {
    for (const set of ['sidecars', 'sidecars-and-nodes']) {
      const { container, volumes } = await sidecarOf('-f', valuesFile(set));
      const mounts = container['volumeMounts'] as readonly { readonly name: string }[];
      expect(mounts.map(({ name }) => name).toSorted()).toEqual(volumes.map(({ name }) => name).toSorted());
    }
  });

  it('is accepted by PodSecurity restricted', async () => {
    expect(await admission(await sidecarOf('-f', valuesFile('sidecars')), restricted)).toEqual({
      code: 0,
      stderr: '',
    });
  });

  it('is refused there with the folder of a node, which is the default of the chart', async () => {
    const sidecar = await sidecarOf('--set', 'injection.enabled=true');
    const { code, stderr } = await admission(sidecar, restricted);
    expect(code).toBe(1);
    expect(stderr).toContain('volume "adaptlet-model" uses restricted volume type "hostPath"');
    expect((await admission(sidecar, 'default')).code).toBe(0);
  });
});
