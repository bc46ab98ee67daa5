import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectKey } from '../../../src/api/names.ts';
import { connectKube, type KubeConnection } from '../../../src/kube/client/client.ts';
import { FleetStore } from '../../../src/operator/fleet/store.ts';
import { Authority } from '../../../src/operator/identity/authority.ts';
import { TokenReviews } from '../../../src/operator/identity/token-review.ts';
import { noNodes } from '../../../src/operator/nodes/nodes.ts';
import { followObjects } from '../../../src/operator/objects/informers.ts';
import type { Objects } from '../../../src/operator/objects/objects.ts';
import { Policies } from '../../../src/operator/objects/policies.ts';
import { RemovalGate } from '../../../src/operator/plans/removal-gate.ts';
import { FakeRuntime } from '../../../src/operator/sync/fake-runtime.ts';
import { createSyncServer, type SyncServer } from '../../../src/operator/sync/server.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { waitFor } from '../../support/wait.ts';

const logger = pino({ level: 'silent' });
const clock = systemClock;
const random = Math.random;

let cluster: Cluster;
let namespace: string;
let api: KubeConnection;
let tokens: TokenReviews;
let nodeUid: string;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  cluster = await sharedCluster();
  namespace = await cluster.createNamespace('adaptlet');
  api = connectKube({ kubeconfig: cluster.kubeconfig, clock, logger });
  stack.defer(() => api.close());
  tokens = new TokenReviews({ api, clock, logger });
  const pod = { namespace, serviceAccount: 'adaptlet-runtime' };
  await cluster.createPod({ ...pod, name: 'runtime-x', node: `${namespace}-node` });
  await cluster.createPod({ ...pod, name: 'short-lived', node: `${namespace}-node` });
  nodeUid = await cluster.kubectlOk(['get', 'node', `${namespace}-node`, '-o', 'jsonpath={.metadata.uid}']);
});
afterAll(async () => {
  await stack.disposeAsync();
});

const tokenOf = (boundPod: string, audience = 'adaptlet'): Promise<string> =>
  cluster.token({ namespace, serviceAccount: 'adaptlet-runtime', audience, boundPod });

const openAuthority = async (replica: string): Promise<Authority> => {
  const authority = await Authority.open(
    { api, namespace, replica, names: ['localhost', '127.0.0.1'], clock, logger, random },
    AbortSignal.timeout(30_000),
  );
  stack.defer(() => authority.close());
  return authority;
};

describe('a token of the API server', () => {
  it('names the pod and the node of its holder', async () => {
    const identity = await tokens.review(await tokenOf('runtime-x'));
    expect(identity).toMatchObject({
      namespace,
      serviceAccount: 'adaptlet-runtime',
      pod: 'runtime-x',
      node: `${namespace}-node`,
      nodeUid,
    });
    expect(identity.podUid).not.toBe('');
  });

  it('is nothing for another audience', async () => {
    await expect(tokens.review(await tokenOf('runtime-x', 'other'))).rejects.toMatchObject({
      code: 'RUNTIME_UNAUTHENTICATED',
    });
  });

  it('is nothing without the audience, as mounted into every pod', async () => {
    const token = await cluster.token({ namespace, serviceAccount: 'adaptlet-runtime' });
    await expect(tokens.review(token)).rejects.toMatchObject({ code: 'RUNTIME_UNAUTHENTICATED' });
  });

  it('dies with its pod', async () => {
    const token = await tokenOf('short-lived');
    expect(await tokens.review(token)).toMatchObject({ pod: 'short-lived' });
    await cluster.kubectlOk(['-n', namespace, 'delete', 'pod', 'short-lived', '--force', '--grace-period=0']);
    // The API server remembers a token for 10 seconds. Each look is by another, which remembers nothing.
    await waitFor('the end of the token', async () => {
      const again = new TokenReviews({ api, clock, logger });
      const result = await again.review(token).catch((error: unknown) => error);
      return (result as { code?: string }).code === 'RUNTIME_UNAUTHENTICATED';
    });
  });
});

describe('the certificate authority', () => {
  it('is one for replicas that start together, kept in a Secret and published in a ConfigMap', async () => {
    const all = await Promise.all(['a', 'b', 'c', 'd'].map(openAuthority));
    expect(new Set(all.map((one) => one.credentials().bundle)).size).toBe(1);
    const published = await cluster.kubectlOk([
      '-n',
      namespace,
      'get',
      'configmap',
      'adaptlet-ca',
      '-o',
      'jsonpath={.data.ca\\.crt}',
    ]);
    expect(published).toBe(all[0]?.credentials().bundle);
  });
});

describe('a replica', () => {
  let server: SyncServer;
  let objects: Objects;
  let authority: Authority;
  const name = (): string => `${namespace}-node`;
  beforeAll(async () => {
    const followed = followObjects({ api, clock, random, logger }, stack);
    await followed.whenSynced(AbortSignal.timeout(30_000));
    objects = followed;
    authority = await openAuthority('operator-a');
    server = createSyncServer({
      api,
      objects,
      policies: new Policies(objects.policies, namespace),
      nodes: noNodes,
      authority,
      tokens,
      clock,
      logger,
      random,
      fleet: new FleetStore({ clock }),
      nodeAccounts: [`${namespace}/adaptlet-runtime`],
      credential: () => Promise.reject(new Error('no source names a Secret')),
      siteLabel: 'topology.kubernetes.io/zone',
      replica: 'operator-a',
      serverName: 'localhost',
      address: '127.0.0.1:0',
      leader: () => undefined,
      isLeader: () => true,
      onLeader: () => () => undefined,
    });
    await server.start();
    stack.defer(() => server.close(1_000));
  });

  const connect = async (connectionSeq: bigint, labels: Record<string, string>): Promise<FakeRuntime> => {
    const token = await tokenOf('runtime-x');
    const runtime = new FakeRuntime(server.address, authority.credentials().bundle, token);
    runtime.hello({ identity: { namespace, name: name(), kind: 1 }, connectionSeq, labels });
    stack.defer(() => runtime.close());
    await waitFor('a Welcome', () => {
      if (runtime.ended !== undefined) throw new Error(runtime.ended.details);
      return runtime.welcomed;
    });
    return runtime;
  };
  const labels = async (): Promise<unknown> =>
    JSON.parse(
      await cluster.kubectlOk([
        '-n',
        namespace,
        'get',
        'adapterruntime',
        name(),
        '-o',
        'jsonpath={.metadata.labels}',
      ]),
    );

  it('makes an AdapterRuntime with its labels and its owner, and writes nothing when nothing differs', async () => {
    const uid = await cluster.kubectlOk([
      'get',
      'namespace',
      'kube-system',
      '-o',
      'jsonpath={.metadata.uid}',
    ]);
    const runtime = await connect(1n, { zone: 'a', accelerator: 'npu' });
    const feedbackKeys = [{ namespace: '', key: expect.any(Uint8Array) as Uint8Array }];
    expect(runtime.of('welcome')).toEqual([
      { clusterUid: uid, replica: 'operator-a', readsHeldHash: true, feedbackKeys },
    ]);
    const before = objects.runtimes.get(objectKey(namespace, name()));
    expect(before?.metadata.ownerReferences).toMatchObject([{ kind: 'Node', uid: nodeUid }]);
    await connect(2n, { zone: 'a', accelerator: 'npu' });
    expect(objects.runtimes.get(objectKey(namespace, name()))?.resourceVersion).toBe(before?.resourceVersion);
  });

  it('takes back a label that the node no longer has, and leaves those of others', async () => {
    await cluster.kubectlOk(['-n', namespace, 'label', 'adapterruntime', name(), 'team=x']);
    await connect(3n, { zone: 'b' });
    expect(await labels()).toEqual({ zone: 'b', team: 'x' });
  });

  it('lets removals through once the CRDs are seen in order', async () => {
    const gate = new RemovalGate({ api, objects, clock, logger, random });
    stack.defer(() => gate.close());
    const key = `AdapterSpec ${namespace}/never`;
    expect(gate.mayRemove(key)).toBe(false);
    await waitFor('the look at the CRDs', () => gate.mayRemove(key));
    expect(gate.gauges()).toEqual({ waiting: 0, failures: 0 });
  });
});
