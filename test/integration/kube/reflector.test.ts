import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { codeOf } from '../../../src/errors/code-of.fixture.ts';
import { connectKube } from '../../../src/kube/client/client.ts';
import { pathOf, type ResourceType } from '../../../src/kube/client/object.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { type Cluster, startCluster } from '../../cluster/index.ts';
import { connectTo, startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';
import { authorOf, configMaps, converged, type Follower, follow, held, unhealthy } from './follower.ts';

const logger = pino({ level: 'silent' });

let cluster: Cluster;
const folder = folderOfTests();
const closers = new AsyncDisposableStack();
/**
 * Of a namespace in which nothing changes. The server tells about once per minute that something else moved etcd on: the tests that
 * leave the server alone come meanwhile, before the one that looks.
 */
let idle: { follower: Follower; before: number; version: bigint };
beforeAll(async () => {
  cluster = await startCluster();
  const api = connectKube({ kubeconfig: cluster.kubeconfig, clock: systemClock, logger });
  closers.defer(() => api.close());
  const namespace = await cluster.createNamespace();
  await authorOf(api, namespace).create('only');
  const follower = await follow(api, namespace, {}, (close) => closers.defer(close));
  idle = { follower, before: follower.progress(), version: follower.cache.resourceVersion };
});
afterAll(async () => {
  await closers.disposeAsync();
  await cluster.close();
});

/** A connection, by way of a proxy where one is given. */
const open = async (kubeconfig: string, proxy?: TcpProxy) => {
  let path = kubeconfig;
  if (proxy !== undefined) {
    const text = await readFile(kubeconfig, 'utf8');
    path = join(folder, `${proxy.port}.kubeconfig`);
    await writeFile(path, text.replaceAll(cluster.server, `https://127.0.0.1:${proxy.port}`));
  }
  const api = connectKube({ kubeconfig: path, clock: systemClock, logger });
  onTestFinished(api.close);
  return api;
};

const proxied = async (): Promise<TcpProxy> => {
  const proxy = await startTcpProxy(() => connectTo(Number(new URL(cluster.server).port)));
  onTestFinished(() => proxy[Symbol.asyncDispose]());
  return proxy;
};

/** Somebody who changes things, past every proxy. */
const author = async (namespace: string) => authorOf(await open(cluster.kubeconfig), namespace);

/** Lets the ServiceAccount `reader` of a namespace read its ConfigMaps. */
const grantReading = async (namespace: string): Promise<void> => {
  const create = ['-n', namespace, 'create'];
  await cluster.kubectl(...create, 'role', 'r', '--verb=get,list,watch', '--resource=configmaps');
  await cluster.kubectlOk([
    ...create,
    'rolebinding',
    'r',
    '--role=r',
    `--serviceaccount=${namespace}:reader`,
  ]);
};

describe('a cache of the real API server', () => {
  it('is read in pages, and follows', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    for (let i = 0; i < 7; i++) await write.create(`c${i}`);
    const follower = await follow(await open(cluster.kubeconfig), namespace, { timing: { pageSize: 3 } });
    expect(follower.lists()).toBe(3);
    expect(follower.cache.get(`${namespace}/c0`)).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(follower.cache.get(`${namespace}/c0`)?.metadata).not.toHaveProperty('managedFields');
    await write.update('c0', { a: 'b' });
    await write.remove('c1');
    const last = await write.create('c7');
    await converged(follower, write);
    expect(follower.told().slice(7)).toEqual(['updated c0', 'deleted c1', 'added c7']);
    expect(follower.cache.resourceVersion).toBe(BigInt(last.metadata.resourceVersion));
    expect([follower.lists(), follower.watches()]).toEqual([3, 1]);
  });

  it('resumes without a list when connections are cut again and again', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const proxy = await proxied();
    const follower = await follow(await open(cluster.kubeconfig, proxy), namespace);
    for (let i = 0; i < 10; i++) {
      await write.create(`c${i}`);
      if (i > 2) await write.remove(`c${i - 3}`);
      // A stream that breaks before its first event counts towards a list; one that had events does not.
      await converged(follower, write);
      proxy.cut();
    }
    await write.create('last');
    await converged(follower, write);
    expect(follower.lists()).toBe(1);
    expect(follower.checks()).toBeGreaterThanOrEqual(10);
    expect(follower.watches()).toBeGreaterThan(10);
    expect(follower.told().filter((line) => line.startsWith('deleted'))).toHaveLength(7);
  });

  it('notices a connection that is open and dead, and catches up', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const proxy = await proxied();
    const follower = await follow(await open(cluster.kubeconfig, proxy), namespace, {
      timing: { silentMs: 2000 },
      limits: { failingMs: 500 },
    });
    await write.create('a');
    await converged(follower, write);
    proxy.freeze();
    await write.create('b');
    await waitFor('the failure to be known', () => !follower.cache.health().ok);
    expect(follower.cache.size).toBe(1);
    proxy.thaw();
    await converged(follower, write);
    await waitFor('health', () => follower.cache.health().ok);
  });

  it('goes on with a new token when the old one no longer counts', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const account = { namespace, serviceAccount: 'reader', node: 'node-of-reader' };
    await cluster.createPod({ ...account, name: 'one' });
    await grantReading(namespace);
    const tokenFile = join(folder, `${namespace}.token`);
    const renew = async (boundPod: string): Promise<void> => {
      await writeFile(`${tokenFile}.new`, await cluster.token({ ...account, boundPod }));
      await rename(`${tokenFile}.new`, tokenFile);
    };
    await renew('one');
    const proxy = await proxied();
    const kubeconfig = join(folder, `${namespace}.kubeconfig`);
    await writeFile(
      kubeconfig,
      JSON.stringify({
        clusters: [
          { name: 'c', cluster: { server: cluster.server, 'certificate-authority': cluster.caFile } },
        ],
        users: [{ name: 'u', user: { tokenFile } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const api = await open(kubeconfig, proxy);
    const follower = await follow(api, namespace, { limits: { failingMs: 200 } });
    await write.create('a');
    await converged(follower, write);

    // The token is bound to its pod, and dies with it; the server remembers for some seconds that it was good.
    await cluster.kubectlOk(['-n', namespace, 'delete', 'pod', 'one', '--grace-period=0', '--force']);
    await waitFor(
      'the token to be refused',
      async () => {
        const code = await codeOf(() => api.request({ method: 'GET', path: pathOf(configMaps, namespace) }));
        return code === 'KUBE_UNAUTHORIZED';
      },
      60_000,
    );
    proxy.cut();
    await write.create('b');
    await unhealthy(follower, 'Unauthorized (401)');
    expect(follower.cache.size).toBe(1);

    await cluster.createPod({ ...account, name: 'two' });
    await renew('two');
    await converged(follower, write);
    await waitFor('health', () => follower.cache.health().ok);
  });

  it('keeps everything while the permission is withdrawn', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const kubeconfig = await cluster.serviceAccountKubeconfig({ namespace, name: 'reader' });
    await grantReading(namespace);
    const proxy = await proxied();
    const api = await open(kubeconfig, proxy);
    const follower = await follow(api, namespace, { limits: { failingMs: 200 } });
    for (const name of ['a', 'b']) await write.create(name);
    await converged(follower, write);
    await cluster.kubectlOk(['-n', namespace, 'delete', 'rolebinding', 'r']);
    await write.remove('a');
    await waitFor('the server to refuse', async () => {
      const code = await codeOf(() => api.request({ method: 'GET', path: pathOf(configMaps, namespace) }));
      return code === 'KUBE_FORBIDDEN';
    });
    // Permission is checked when a watch begins; the one that is open goes on.
    await waitFor('the first deletion', () => follower.cache.size === 1);
    proxy.cut();
    // The check comes before the next watch, and needs the permission to list.
    await unhealthy(follower, 'cannot list resource "configmaps"');
    expect(follower.cache.size).toBe(1);
    await write.remove('b');
    await grantReading(namespace);
    await waitFor('the second deletion', () => follower.cache.size === 0);
    expect(follower.told()).toEqual(['added a', 'added b', 'deleted a', 'deleted b']);
  });

  it('keeps everything while its kind is missing', async () => {
    const namespace = await cluster.createNamespace();
    const group = `${namespace}.example.com`;
    const type: ResourceType = { group, version: 'v1', kind: 'Thing', plural: 'things', namespaced: true };
    const crd = JSON.stringify({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `things.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { kind: 'Thing', plural: 'things' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    });
    const install = async (): Promise<void> => {
      await cluster.kubectlOk(['create', '-f', '-'], crd);
      await cluster.kubectlOk(['wait', '--for=condition=Established', `crd/things.${group}`]);
    };
    await install();
    const body = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'a' } };
    await waitFor('the kind', () =>
      cluster.kubectlOk(['-n', namespace, 'create', '-f', '-'], JSON.stringify(body)),
    );
    const proxy = await proxied();
    const follower = await follow(await open(cluster.kubeconfig, proxy), namespace, {
      type,
      limits: { failingMs: 200 },
    });
    expect(follower.cache.size).toBe(1);
    proxy.refuse();
    await cluster.kubectlOk(['delete', 'crd', `things.${group}`]);
    proxy.accept();
    await unhealthy(follower, '(404)');
    expect(follower.told()).toEqual(['added a']);
    await install();
    await waitFor('the new kind', () => follower.cache.size === 0);
    await waitFor('health', () => follower.cache.health().ok);
    expect(follower.told()).toEqual(['added a', 'deleted a']);
  });

  it('comes to the newest state behind a slow line, under a flood', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const proxy = await proxied();
    const follower = await follow(await open(cluster.kubeconfig, proxy), namespace);
    const names = Array.from({ length: 40 }, (_, i) => `c${i}`);
    await Promise.all(names.map((name) => write.create(name)));
    proxy.slowDown(200_000);
    const text = 'x'.repeat(5000);
    for (let round = 0; round < 15; round++) {
      await Promise.all(names.map((name) => write.update(name, { text, round: String(round) })));
      if (round === 7) proxy.cut();
    }
    await Promise.all(names.slice(20).map((name) => write.remove(name)));
    expect(held(follower)).not.toEqual(await write.list());
    proxy.slowDown(2_000_000);
    await converged(follower, write);
    expect(follower.told().filter((line) => line.startsWith('deleted'))).toHaveLength(20);
    for (const object of follower.cache.list()) {
      expect(object).toMatchObject({ data: { round: '14' } });
    }
  });

  it('moves on with bookmarks, where nothing changes in it', async () => {
    const { follower, before, version } = idle;
    await waitFor('a bookmark', () => follower.progress() > before, 100_000);
    expect(follower.cache.resourceVersion).toBeGreaterThan(version);
    expect(follower.told()).toEqual(['added only']);
    expect([follower.lists(), follower.watches()]).toEqual([1, 1]);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('outlives a restart of the API server by %s', async (signal) => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const follower = await follow(await open(cluster.kubeconfig), namespace);
    for (const name of ['a', 'b', 'c']) await write.create(name);
    await converged(follower, write);
    const kept = follower.cache.get(`${namespace}/a`);
    await cluster.restartApiServer(signal);
    await write.remove('b');
    await write.create('d');
    await converged(follower, write);
    expect(follower.cache.get(`${namespace}/a`)).toBe(kept);
    expect(follower.told().toSorted()).toEqual(['added a', 'added b', 'added c', 'added d', 'deleted b']);
  });

  it('waits for a server that hangs', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const follower = await follow(await open(cluster.kubeconfig), namespace, {
      timing: { silentMs: 1500, checkMs: 700 },
      limits: { failingMs: 500 },
    });
    await write.create('a');
    await converged(follower, write);
    cluster.pauseApiServer();
    try {
      const asked = follower.checks();
      await waitFor('another check', () => follower.checks() > asked + 1);
      await unhealthy(follower, 'no answer within 700 ms');
      expect(follower.cache.size).toBe(1);
    } finally {
      cluster.resumeApiServer();
    }
    await write.create('b');
    await converged(follower, write);
    await waitFor('health', () => follower.cache.health().ok);
    expect(follower.told()).toEqual(['added a', 'added b']);
  });

  it('lists anew when its version was compacted, and tells what it missed once', async () => {
    const namespace = await cluster.createNamespace();
    const write = await author(namespace);
    const proxy = await proxied();
    const follower = await follow(await open(cluster.kubeconfig, proxy), namespace, {
      timing: { pageSize: 2 },
    });
    for (const name of ['a', 'b', 'c', 'd']) await write.create(name);
    await converged(follower, write);
    const kept = follower.cache.get(`${namespace}/a`);
    const [lists, version] = [follower.lists(), follower.cache.resourceVersion];
    proxy.refuse();
    await write.remove('b');
    await write.remove('c');
    const again = await write.create('c');
    await write.update('d', { x: 'y' });
    await cluster.compactEtcd();
    await cluster.restartApiServer();
    proxy.accept();
    await converged(follower, write);
    expect(follower.lists()).toBeGreaterThan(lists);
    expect(follower.cache.resourceVersion).toBeGreaterThan(version);
    expect(follower.cache.get(`${namespace}/a`)).toBe(kept);
    expect(follower.cache.get(`${namespace}/c`)?.metadata.uid).toBe(again.metadata.uid);
    expect(follower.told().slice(4).toSorted()).toEqual(['added c', 'deleted b', 'deleted c', 'updated d']);
  });
});
