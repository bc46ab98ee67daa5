import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { type Cluster, startCluster, toolPath } from './index.ts';

let cluster: Cluster;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster({ controllerManager: true });
  namespace = await cluster.createNamespace();
});
afterAll(() => cluster?.close());

const firstLine = ({ stdout }: { readonly stdout: Readable }): Promise<string> =>
  new Promise((resolve) => createInterface({ input: stdout }).once('line', resolve));

type Review = {
  status: {
    authenticated?: boolean;
    error?: string;
    user?: { username: string; extra: Record<string, string[]> };
  };
};

const review = async (token: string, audience: string): Promise<Review['status']> => {
  const spec = { token, audiences: [audience] };
  const object = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec };
  const answer = await cluster.kubectlOk(['create', '-o', 'json', '-f', '-'], JSON.stringify(object));
  return (JSON.parse(answer) as Review).status;
};

describe('tokens', () => {
  it('say their pod and its node, to the audience that they are for', async () => {
    const pod = { namespace, name: 'runtime-a', serviceAccount: 'runtime', node: 'node-a' };
    const uid = await cluster.createPod(pod);
    const request = { namespace, serviceAccount: 'runtime', audience: 'adaptlet', boundPod: 'runtime-a' };
    const token = await cluster.token({ ...request, expirationSeconds: 600 });

    const { authenticated, user } = await review(token, 'adaptlet');
    expect(authenticated).toBe(true);
    expect(user?.username).toBe(`system:serviceaccount:${namespace}:runtime`);
    expect(user?.extra).toMatchObject({
      'authentication.kubernetes.io/pod-name': ['runtime-a'],
      'authentication.kubernetes.io/pod-uid': [uid],
      'authentication.kubernetes.io/node-name': ['node-a'],
    });
    expect((await review(token, 'other')).authenticated).not.toBe(true);

    await cluster.kubectlOk(['-n', namespace, 'delete', 'pod', 'runtime-a', '--force']);
    const after = await waitFor('the token to end with its pod', async () => {
      const status = await review(token, 'adaptlet');
      return status.authenticated !== true && status;
    });
    expect(after.error).toContain('token');
  });

  it('carry only the rights of RBAC', async () => {
    const kubeconfig = await cluster.serviceAccountKubeconfig({ namespace, name: 'nobody' });
    const list = ['-n', namespace, 'get', 'configmaps'];
    const refused = await cluster.kubectlWith({ kubeconfig }, ...list);
    expect(refused.stderr).toContain(`"system:serviceaccount:${namespace}:nobody" cannot list resource`);
    const role = ['-n', namespace, 'create', 'rolebinding', 'nobody', '--clusterrole=view'];
    await cluster.kubectlOk([...role, `--serviceaccount=${namespace}:nobody`]);
    await waitFor(
      'the right to list',
      async () => (await cluster.kubectlWith({ kubeconfig }, ...list)).code === 0,
    );
  });
});

describe('faults', () => {
  const configMaps = () => `/api/v1/namespaces/${namespace}/configmaps`;

  it('makes old watches and continue tokens expire: compaction, then a restart', async () => {
    for (const name of ['a', 'b']) await cluster.kubectlOk(['-n', namespace, 'create', 'configmap', name]);
    const page = await cluster.kubectlOk(['get', '--raw', `${configMaps()}?limit=1`]);
    const { metadata } = JSON.parse(page) as { metadata: { resourceVersion: string; continue: string } };
    await cluster.kubectlOk(['-n', namespace, 'create', 'configmap', 'c']);
    const next = ['get', '--raw', `${configMaps()}?limit=1&continue=${metadata.continue}`];
    const watch = [
      'get',
      '--raw',
      `${configMaps()}?watch=1&timeoutSeconds=1&resourceVersion=${metadata.resourceVersion}`,
    ];
    expect((await cluster.kubectl(...next)).code).toBe(0);
    expect(await cluster.kubectlOk(watch)).toContain('"type":"ADDED"');

    await cluster.compactEtcd();
    await cluster.restartApiServer();
    expect((await cluster.kubectl(...next)).stderr).toContain('Error from server (Expired)');
    expect(await cluster.kubectlOk(watch)).toContain('"code":410');
    expect(await cluster.kubectlOk(['-n', namespace, 'get', 'configmap', 'c', '-o', 'name'])).toBe(
      'configmap/c\n',
    );
  });

  it('leaves calls without an answer while the API server is paused', async () => {
    cluster.pauseApiServer();
    const held = await cluster.kubectl('get', '--raw', '/readyz', '--request-timeout=500ms');
    expect(held.code).not.toBe(0);
    cluster.resumeApiServer();
    expect(await cluster.kubectlOk(['get', '--raw', '/readyz'])).toBe('ok');
  });

  it('refuses connections while the API server is stopped', async () => {
    await cluster.stopApiServer('SIGKILL');
    expect((await cluster.kubectl('get', 'namespaces')).stderr).toContain('refused');
    await cluster.startApiServer();
    expect(await cluster.kubectlOk(['get', 'namespace', namespace, '-o', 'name'])).toBe(
      `namespace/${namespace}\n`,
    );
  });
});

it('says what a process wrote when that process does not come up', async () => {
  const start = startCluster({ apiServerFlags: ['--no-such-flag'] });
  await expect(start).rejects.toThrow(/kube-apiserver ended \(1\).*unknown flag: --no-such-flag/s);
});

/** Starts a cluster, writes the process ids of its children and waits to be killed. */
const doomed = `
  import { execFileSync } from 'node:child_process';
  import { startCluster } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
  await startCluster();
  const children = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  const pids = children.split('\\n').filter((line) => /etcd|kube-apiserver/.test(line));
  console.log(pids.map((line) => line.trim().split(' ')[0]).join(' '));
  setInterval(() => undefined, 1000);
`;

it('leaves no process behind when the test process is killed', async () => {
  const args = ['--input-type=module', '-e', doomed];
  const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await firstLine(parent);
  const pids = line.split(' ').map(Number);
  expect(pids).toHaveLength(2);
  parent.kill('SIGKILL');
  await waitFor('etcd and the API server to end', () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
});

describe('where a cluster comes from', () => {
  it('is ADAPTLET_TEST_KUBECONFIG first; nothing of that cluster is started or stopped', async () => {
    vi.stubEnv('ADAPTLET_TEST_KUBECONFIG', cluster.kubeconfig);
    try {
      await using existing = await startCluster();
      expect(existing.server).toBe(cluster.server);
      const own = await existing.createNamespace();
      expect(await existing.kubectlOk(['get', 'namespace', own, '-o', 'name'])).toBe(`namespace/${own}\n`);
      await existing.serviceAccountKubeconfig({ namespace: own, name: 'x' });
      await expect(existing.restartApiServer()).rejects.toThrow(/this test must stop the API server/);
      await expect(startCluster({ apiServerFlags: ['-v=1'] })).rejects.toThrow(/give the API server flags/);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('is KUBEBUILDER_ASSETS next, program by program', async () => {
    const assets = await mkdtemp(join(tmpdir(), 'adaptlet-assets-'));
    const cached = { etcd: await toolPath('etcd'), scheduler: await toolPath('kube-scheduler') };
    await symlink(cached.etcd, join(assets, 'etcd'));
    vi.stubEnv('KUBEBUILDER_ASSETS', assets);
    try {
      expect(await toolPath('etcd')).toBe(join(assets, 'etcd'));
      expect(await toolPath('kube-scheduler')).toBe(cached.scheduler);
    } finally {
      vi.unstubAllEnvs();
      await rm(assets, { recursive: true });
    }
  });

  it('brings helm as well', async () => {
    const helm = spawn(await toolPath('helm'), ['version', '--short'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await firstLine(helm);
    expect(line).toMatch(/^v3\.19\.5/);
  });
});
