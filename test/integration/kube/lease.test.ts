import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { codeOf } from '../../../src/errors/code-of.fixture.ts';
import type { KubeApi, KubeRequest } from '../../../src/kube/client/api.ts';
import { connectKube, type KubeConnection } from '../../../src/kube/client/client.ts';
import { pathOf } from '../../../src/kube/client/object.ts';
import type { Election } from '../../../src/kube/lease/election.ts';
import { createElection } from '../../../src/kube/lease/elector.ts';
import { type Lease, leaseType } from '../../../src/kube/lease/record.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';
import { waitFor } from '../../support/wait.ts';

const logger = pino({ level: 'silent' });
const addressAnnotation = 'example.com/address';
const leaseMs = 3000;

let cluster: Cluster;
let api: KubeConnection;
beforeAll(async () => {
  cluster = await sharedCluster();
  api = connectKube({ kubeconfig: cluster.kubeconfig, clock: systemClock, logger });
});
afterAll(() => api.close());

/** A lease of its own for a test, signed off where `isFree`; and at every moment, who passes the fence. */
const race = async (isFree = true) => {
  const namespace = await cluster.createNamespace();
  const path = pathOf(leaseType, namespace, 'operator');
  const read = () => api.request<Lease>({ method: 'GET', path });
  if (isFree) {
    const spec = { holderIdentity: '', renewTime: '2026-01-01T00:00:00.000000Z' };
    const body = { metadata: { name: 'operator', namespace }, spec };
    await api.request({ method: 'POST', path: pathOf(leaseType, namespace), body });
  }
  const elections = new Map<string, Election>();
  const together: string[][] = [];
  const passing = (): string[] => [...elections].filter(([, { isLeader }]) => isLeader).map(([name]) => name);
  const look = setInterval(() => {
    if (passing().length > 1) together.push(passing());
  }, 5);
  onTestFinished(async () => {
    clearInterval(look);
    await Promise.all([...elections.values()].map((election) => election.close()));
    expect(together).toEqual([]);
  });
  const join = (identity: string, through: KubeApi = api): Election => {
    const election = createElection({
      api: through,
      namespace,
      name: 'operator',
      identity,
      address: `https://${identity}:8443`,
      addressAnnotation,
      leaseMs,
      renewEveryMs: 800,
      retryEveryMs: 300,
      clock: systemClock,
      random: Math.random,
      logger,
    });
    elections.set(identity, election);
    election.start();
    return election;
  };
  return { namespace, path, read, join };
};

const leads = (election: Election) => waitFor('a leader', () => election.isLeader);

describe('an election on the real API server', () => {
  it('has a leader that others know, and hands over at once when it ends', async () => {
    const { read, join } = await race();
    const first = join('a');
    await leads(first);
    const second = join('b');
    await waitFor('b to know a', () => second.holder()?.address === 'https://a:8443');
    const { metadata, spec } = await read();
    expect(metadata.annotations).toEqual({ [addressAnnotation]: 'https://a:8443' });
    expect(spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 3, leaseTransitions: 1 });
    expect(spec?.renewTime).toMatch(/\.\d{6}Z$/);
    const renewed = spec?.renewTime;
    await waitFor('a renewal', async () => (await read()).spec?.renewTime !== renewed);

    const ended = performance.now();
    await first.close();
    await leads(second);
    expect(performance.now() - ended).toBeLessThan(leaseMs / 2);
    expect(second.fence()).toBe(2);
    expect(() => first.fence()).toThrow(expect.objectContaining({ code: 'NOT_LEADER' }));
  });

  it('makes the lease where there is none, and waits for a leader that it cannot see', async () => {
    const { join } = await race(false);
    const began = performance.now();
    const first = join('a');
    await leads(first);
    expect(performance.now() - began).toBeGreaterThan(leaseMs);
    expect(first.fence()).toBe(1);
  });

  it('refuses the renewal of a leader that was held up until another one led', async () => {
    const { read, join } = await race();
    const held: { send: () => Promise<unknown> }[] = [];
    let isHeldUp = false;
    const heldUp: KubeApi = {
      request: <T>(request: KubeRequest) => {
        const { signal: _, ...rest } = request;
        if (!isHeldUp) return api.request<T>(request);
        return new Promise<T>(() => held.push({ send: () => api.request(rest) }));
      },
      stream: api.stream,
    };
    const first = join('a', heldUp);
    await leads(first);
    isHeldUp = true;
    const second = join('b');
    await waitFor('a renewal that is held up', () => held.length > 0);
    await leads(second);
    expect(first.isLeader).toBe(false);
    expect(await codeOf(() => held[0]!.send())).toBe('KUBE_CONFLICT'); // There is one.
    expect((await read()).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 2 });
    isHeldUp = false;
    await waitFor('a to know b', () => first.holder()?.identity === 'b');
    expect(second.fence()).toBe(2);
  });

  it('goes on with the same leader and epoch when the lease is deleted', async () => {
    const { namespace, path, read, join } = await race();
    const first = join('a');
    await leads(first);
    const second = join('b');
    await waitFor('b to know a', () => second.holder()?.identity === 'a');
    const changes: boolean[] = [];
    first.onChange(({ isLeader }) => changes.push(isLeader));
    const { uid } = (await read()).metadata;
    await cluster.kubectlOk(['-n', namespace, 'delete', 'lease', 'operator']);
    await waitFor(
      'a new lease',
      async () => (await api.request<Lease>({ method: 'GET', path })).metadata.uid !== uid,
    );
    expect((await read()).spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 1 });
    expect(changes).toEqual([]);
    expect(second.holder()?.identity).toBe('a');
  });

  it('steps down while the API server is away, and one leads when it is back', async () => {
    const { join } = await race();
    const first = join('a');
    await leads(first);
    const second = join('b');
    cluster.pauseApiServer();
    try {
      await waitFor('a to step down', () => !first.isLeader);
    } finally {
      cluster.resumeApiServer();
    }
    await waitFor('a leader', () => first.isLeader || second.isLeader);
  });
});

it('never makes a lease by a write over one that is gone', async () => {
  const { path, read } = await race();
  const lease = await read();
  await api.request({ method: 'DELETE', path });
  expect(await codeOf(() => api.request({ method: 'PUT', path, body: lease }))).toBe('KUBE_CONFLICT');
  expect(await codeOf(read)).toBe('KUBE_NOT_FOUND');
});
