import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { leaksBelow } from '../../../test/support/leaks.ts';
import { connectTo, startTcpProxy } from '../../../test/support/tcp-proxy.ts';
import { folderOfTest, folderOfTests } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { parseReference } from '../../artifact/reference.ts';
import { adapter, arm, at, route, split } from '../../control/plans.fixture.ts';
import type { Resource } from '../../plan/resources.ts';
import { type DialOptions, tlsDialer } from './dial.ts';
import { type Authority, issue, makeAuthority, type ServerCertificate } from './testing/certificates.ts';
import { FakeOperator } from './testing/fake-operator.ts';
import { startTestNode, type TestNodeOptions } from './testing/test-node.ts';

const certificates = folderOfTests();
let authority: Authority;
let certificate: ServerCertificate;
beforeAll(async () => {
  authority = await makeAuthority(certificates, 'first');
  certificate = await issue(authority);
});

let folder: string;
let operator: FakeOperator;
let caFile: string;
let tokenFile: string;
let nodes: AsyncDisposableStack;
beforeEach(async () => {
  nodes = new AsyncDisposableStack();
  folder = folderOfTest();
  caFile = join(folder, 'ca.crt');
  tokenFile = join(folder, 'token');
  await writeFile(caFile, authority.pem);
  await writeFile(tokenFile, 'token-1\n');
  operator = new FakeOperator();
  await operator.listen(certificate);
});
afterEach(async () => {
  await nodes.disposeAsync();
  operator.stop();
});

const start = async (options: Partial<TestNodeOptions> & { readonly to?: Partial<DialOptions> } = {}) => {
  const { to, ...rest } = options;
  const dial = tlsDialer({ address: operator.address, caFile, tokenFile, ...to });
  return nodes.use(await startTestNode({ folder: join(folder, 'data'), dial, ...rest }));
};
type Node = Awaited<ReturnType<typeof start>>;

const connected = (node: Node) => waitFor('the connection', () => node.operator.state === 'connected');
const heldBy = (node: Node) => [...node.plan.table.adapters.keys()];

/** A node with these in force, and the stream that brought them. */
const following = async (...resources: readonly Resource[]) => {
  const node = await start();
  const stream = await operator.stream();
  stream.welcome();
  stream.put(...resources);
  await stream.ack(stream.commit(at(5)));
  return { node, stream };
};

describe('a node that follows an operator', () => {
  it('introduces itself, with its token', async () => {
    await start();
    const stream = await operator.stream();
    const hello = await stream.hello();
    expect(stream.authorization).toBe('Bearer token-1');
    expect(hello).toMatchObject({
      protocol: 1,
      identity: { namespace: 'adaptlet-system', name: 'node-1', kind: 1 },
      instance: 'instance-1',
      version: '0.1.0',
      baseModel: 'tiny',
      baseDigest: expect.stringContaining('sha256:'),
      executionProvider: 'CPUExecutionProvider',
      labels: { zone: 'a' },
      clusterUid: '',
      revision: at(0),
      held: [],
      subscriptions: [],
    });
    expect(hello.connectionSeq).toBeGreaterThan(0n);
  });

  it('answers a commit only when it is on the disk, and follows it before', async () => {
    const disk = Promise.withResolvers<void>();
    const node = await start({ beforeWrite: () => disk.promise });
    const stream = await operator.stream();
    stream.welcome();
    stream.put(adapter('a'));
    const nonce = stream.commit(at(5));
    await waitFor('the plan', () => heldBy(node).length === 1);
    expect(stream.acks).toEqual([]);
    disk.resolve();
    expect(await stream.ack(nonce)).toEqual({ nonce, refused: [] });
    expect(await node.memory.plan.read()).toMatchObject({
      value: { held: { clusterUid: 'cluster-1', revision: at(5) }, problems: [] },
    });
  });

  it('puts nothing in force before the commit, and forgets what was not committed when the stream breaks', async () => {
    const { node, stream } = await following(adapter('a'));
    stream.put(adapter('b'), split('sql'));
    stream.send({ $case: 'remove', value: 'AdapterSpec team-a/a' });
    stream.call.end();
    const next = await operator.stream(2);
    expect((await next.hello()).held).toEqual([]);
    next.welcome();
    expect(await next.listed()).toEqual(['AdapterSpec team-a/a']);
    await next.ack(next.commit(at(6)));
    expect(heldBy(node)).toEqual(['team-a/a']);
  });

  it('refuses a bad resource with its reason, keeps its former version, and takes the rest', async () => {
    const { node, stream } = await following(route('front'));
    stream.put(route('front', { model: 'tiny' }), adapter('a'));
    const ack = await stream.ack(stream.commit(at(6)));
    expect(ack.refused).toMatchObject([
      { key: 'Route team-a/front', reason: expect.stringContaining('reserved') },
    ]);
    expect(node.operator.refused).toMatchObject([{ key: 'Route team-a/front' }]);
    expect(heldBy(node)).toEqual(['team-a/a']);
    expect(node.plan.table.routes.get('team-a/front' as never)).toMatchObject({ accepted: true });
    stream.put(route('front', { model: 'other' }));
    await stream.ack(stream.commit(at(7)));
    expect(node.operator.refused).toEqual([]);
  });

  it('has its last plan in force after a restart without a network, before it dials', async () => {
    const { node } = await following(adapter('a'), split('sql', { stable: arm('a') }));
    await node.source.close();
    operator.stop();
    const again = await startTestNode({ folder: join(folder, 'data') });
    expect(again.residency.applied).toEqual([['team-a/a']]);
    expect(again.source.rollouts()).toMatchObject([{ key: 'team-a/sql', stable: 'a', phase: 'Healthy' }]);
    expect(again.operator).toMatchObject({ state: 'none', clusterUid: 'cluster-1', revision: '5/5/5/5' });
    await again.source.close();
  });

  it('resumes with a higher number and what it holds, and needs nothing of it again', async () => {
    const { node, stream } = await following(adapter('a'), adapter('b'));
    const first = await stream.hello();
    await node.source.close();
    const again = await start();
    const next = await operator.stream(2);
    const second = await next.hello();
    expect(second.connectionSeq).toBeGreaterThan(first.connectionSeq);
    expect(second).toMatchObject({ clusterUid: 'cluster-1', revision: at(5) });
    next.welcome();
    expect(await next.listed()).toEqual(['AdapterSpec team-a/a', 'AdapterSpec team-a/b']);
    await connected(again);
    expect(heldBy(again)).toEqual(['team-a/a', 'team-a/b']);
    expect(again.residency.applied).toHaveLength(1);
  });

  it('has a plan in force before its disk has it, and answers after that', async () => {
    const disk = Promise.withResolvers<void>();
    const node = await start({ beforeWrite: () => disk.promise });
    const stream = await operator.stream();
    stream.welcome();
    stream.put(adapter('a'));
    let answered = false;
    const ack = stream.ack(stream.commit(at(5))).finally(() => {
      answered = true;
    });
    await waitFor('the plan', () => heldBy(node).length > 0);
    expect(answered).toBe(false);
    disk.resolve();
    await ack;
  });

  it('goes on with what it has when the disk takes nothing, says so, and answers', async () => {
    const failing = { disk: true };
    const node = await start({
      beforeWrite: async () => {
        if (failing.disk) throw new Error('ENOSPC: no space left');
      },
    });
    const stream = await operator.stream();
    stream.welcome();
    stream.put(adapter('a'));
    await stream.ack(stream.commit(at(5)));
    expect(node.operator.notSaved).toContain('ENOSPC');
    expect(heldBy(node)).toEqual(['team-a/a']);
    failing.disk = false;
    stream.put(adapter('b'));
    await stream.ack(stream.commit(at(6)));
    expect(node.operator.notSaved).toBe('');
  });

  it('does not follow another cluster, until a person trusts it', async () => {
    const { node, stream } = await following(adapter('a'));
    stream.call.end();
    const other = await operator.stream(2);
    other.welcome('cluster-2');
    await waitFor('distrust', () => node.operator.state === 'untrusted');
    other.put(adapter('evil'));
    other.commit(at(9));
    expect(heldBy(node)).toEqual(['team-a/a']);
    await node.source.trustCluster();
    const next = await operator.stream(3);
    expect(await next.hello()).toMatchObject({ clusterUid: '', revision: at(0) });
    next.welcome('cluster-2');
    next.put(adapter('b'));
    await next.ack(next.commit(at(1)));
    expect(node.operator.clusterUid).toBe('cluster-2');
    expect(heldBy(node)).toEqual(['team-a/a', 'team-a/b']);
  });

  it('holds back a removal of most of what it has, until a person confirms it', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const { node, stream } = await following(...names.map((name) => adapter(name)));
    for (const name of names) stream.send({ $case: 'remove', value: `AdapterSpec team-a/${name}` });
    await stream.ack(stream.commit(at(6)));
    expect(heldBy(node)).toHaveLength(6);
    expect(node.operator.removalsHeld).toMatchObject({ count: 6 });
    await waitFor('the report', () => stream.reports.some((r) => r.removalsHeld?.count === 6));
    expect(await node.source.confirmRemovals()).toBe(6);
    expect(heldBy(node)).toEqual([]);
    expect(node.operator.removalsHeld).toBeUndefined();
    await waitFor('the end of it', () => stream.reports.at(-1)?.removalsHeld?.count === 0);
    await expect(node.source.confirmRemovals()).rejects.toMatchObject({ code: 'VERB_REFUSED' });
  });
});

describe('the connection to an operator', () => {
  it('reads authorities and token anew for each stream: both rotate without a restart', async () => {
    const second = await makeAuthority(certificates, 'second');
    const node = await start();
    const stream = await operator.stream();
    stream.welcome();
    await connected(node);
    // Both are trusted while the operator still has a certificate of the first.
    await writeFile(caFile, authority.pem + second.pem);
    await writeFile(tokenFile, 'token-2');
    operator.stop();
    await operator.listen(await issue(second));
    const next = await operator.stream(2);
    expect(next.authorization).toBe('Bearer token-2');
    await writeFile(caFile, second.pem);
    next.call.end();
    await operator.stream(3);
  });

  it.each([
    ['of an authority that it does not know', (): Promise<ServerCertificate> => strangersCertificate()],
    ['for another name', () => issue(authority, 'DNS:elsewhere.example')],
  ])('takes no operator with a certificate %s', async (_, make) => {
    operator.stop();
    await operator.listen(await make());
    const node = await start();
    await waitFor('the refusal', () => node.operator.lastError !== '');
    expect(node.operator.lastError).toMatch(/certificate|altnames/i);
    expect(operator.streams).toEqual([]);
  });

  const strangersCertificate = async () => issue(await makeAuthority(certificates, 'stranger'));

  it('says what is missing and tries again when a file is not there yet', async () => {
    await rm(tokenFile);
    const node = await start();
    await waitFor('the reason', () => node.operator.lastError.includes('ENOENT'));
    await writeFile(tokenFile, 'token-late');
    expect((await operator.stream()).authorization).toBe('Bearer token-late');
  });

  it('notices a half-open stream by its keepalive, and comes back when bytes flow again', async () => {
    const proxy = nodes.use(await startTcpProxy(() => connectTo(operator.port)));
    const keepalive = { everyMs: 300, timeoutMs: 300 };
    const node = await start({ to: { address: `127.0.0.1:${proxy.port}`, keepalive } });
    (await operator.stream()).welcome();
    await connected(node);
    proxy.freeze();
    await waitFor('the loss', () => node.operator.state !== 'connected', 5_000);
    proxy.thaw();
    (await operator.stream(2)).welcome();
    await connected(node);
  });

  it('names the status with which an operator ended the stream', async () => {
    const node = await start();
    const stream = await operator.stream();
    stream.fail(status.PERMISSION_DENIED, 'the token is for another node');
    await waitFor('the reason', () => node.operator.lastError !== '');
    expect(node.operator.lastError).toBe('PERMISSION_DENIED: the token is for another node');
  });
});

describe('what a node reports', () => {
  it('is everything at first, then what changed, and nothing while nothing changes', async () => {
    const { node, stream } = await following(adapter('a'), adapter('b'), split('sql', { stable: arm('a') }));
    await waitFor('the first reports', () => stream.reports.some(({ rollouts }) => rollouts.length > 0));
    expect(stream.reports[0]).toMatchObject({ whole: true, ready: true, memory: { budgetBytes: 1000n } });
    const before = stream.reports.length;
    node.residency.states.set('team-a/a', { state: 'Resident', digest: arm('a').digest });
    for (let i = 0; i < 100; i++) node.source.wake();
    const news = await waitFor('the change', () => stream.reports[before]);
    expect(news).toMatchObject({
      whole: false,
      adapters: [{ key: 'team-a/a', state: 'Resident' }],
      rollouts: [],
    });
    node.source.wake();
    await waitFor('a turn', () => new Promise<true>((resolve) => setTimeout(() => resolve(true), 150)));
    expect(stream.reports).toHaveLength(before + 1);
  });

  it('is the newest state, in few messages, for an operator that does not read', async () => {
    const { node, stream } = await following(...Array.from({ length: 200 }, (_, i) => adapter(`a-${i}`)));
    stream.call.pause();
    for (let turn = 0; turn < 300; turn++) {
      const state = ['Fetching', 'Stored', 'Compiled', 'Resident'][turn % 4] ?? '';
      for (let i = 0; i < 200; i++) node.residency.states.set(`team-a/a-${i}`, { state });
      node.source.wake();
      if (turn % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    stream.call.resume();
    await waitFor('the newest', () =>
      stream.reports.some(
        (r) => r.adapters.length === 200 && r.adapters.every((a) => a.state === 'Resident'),
      ),
    );
    expect(stream.reports.length).toBeLessThan(60);
  });
});

describe('names that the plan does not have', () => {
  it('are asked for, arrive, and are in the next Hello, also after a restart', async () => {
    const { node, stream } = await following(adapter('a'));
    const { demand } = node.source;
    const brought = demand.bring('team-a/rare' as never, AbortSignal.timeout(10_000));
    await waitFor('the subscription', () => stream.subscribed.at(-1)?.includes('team-a/rare'));
    stream.put(adapter('rare', { tier: 'None' }));
    await stream.ack(stream.commit(at(5)));
    expect(await brought).toBe('here');
    await waitFor('the disk', async () => {
      const read = await node.memory.link.read();
      return read.kind === 'value' && read.value.subscriptions.length === 1;
    });
    await node.source.close();
    await start();
    expect(await (await operator.stream(2)).hello()).toMatchObject({ subscriptions: ['team-a/rare'] });
  });

  it('are unknown when the operator says so', async () => {
    const { node, stream } = await following(adapter('a'));
    const brought = node.source.demand.bring('team-a/none' as never, AbortSignal.timeout(10_000));
    await waitFor('the subscription', () => stream.subscribed.length > 0);
    stream.send({ $case: 'unknown', value: { names: ['team-a/none'] } });
    expect(await brought).toBe('unknown');
  });
});

describe('a pull credential', () => {
  const image = 'r.example/team-a/sql:v1';
  const source = { oci: { image, pullSecretRef: { name: 'login' } } };

  it('is asked for on the stream, comes apart from the plan, and is not on the disk', async () => {
    const { node, stream } = await following(adapter('sql', { source }));
    const login = node.pulls.loginFor(adapter('sql').name, source.oci);
    const demand = { challenge: null, isRefused: false, signal: AbortSignal.timeout(10_000) };
    const get = () => Promise.reject(new Error('a node asks no token service'));
    const authorized = login?.authorize({ reference: parseReference(image), ...demand, get });
    const asked = await waitFor('the request', () =>
      stream.requests.find(({ message }) => message?.$case === 'credential'),
    );
    const request = { id: 1n, key: 'team-a/sql', image, secret: 'login', refused: false };
    expect(asked.message?.value).toEqual(request);
    const value = {
      id: 1n,
      authorization: 'Bearer s3cr3t-of-the-registry',
      lifetimeMs: 1000n,
      reason: '',
      advice: '',
    };
    stream.send({ $case: 'credential', value });
    expect(await authorized).toEqual({ header: 'Bearer s3cr3t-of-the-registry', lifetimeMs: 1000 });
    await node.source.close();
    const { leaks, files } = await leaksBelow(folder, new Map([['token', 's3cr3t-of-the-registry']]));
    expect([leaks, files > 3]).toEqual([[], true]);
  });

  it('that was awaited is asked for again once the operator is back', async () => {
    const { node, stream } = await following(adapter('sql', { source }), adapter('bad'));
    node.residency.states.set('team-a/sql', { state: 'Failed', reason: 'PULL_CREDENTIAL_AWAITED' });
    node.residency.states.set('team-a/bad', { state: 'Failed', reason: 'REGISTRY_DENIED' });
    stream.fail(status.UNAVAILABLE, 'gone');
    (await operator.stream(2)).welcome();
    await connected(node);
    expect(
      await waitFor('the retry', () => node.residency.retried.length > 0 && node.residency.retried),
    ).toEqual(['team-a/sql']);
  });
});
