import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AdminClient, Rollout } from '../../../../gen/adaptlet/inference/v1/admin.ts';
import { aRollout, aStatus } from '../../../../plan/manifests.fixture.ts';
import { FakeAdmin } from '../../testing/fake-admin.ts';
import { startFakeGrpc, unaryCall } from '../../testing/grpc-client.ts';
import { fakeParts } from '../../testing/parts.ts';
import { startAdmin } from './server.ts';
import { rolloutMessage } from './views.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'admin-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const start = async (address = `unix:${join(folder, 'admin.sock')}`) => {
  const parts = fakeParts();
  const server = await startAdmin({ ...parts, address });
  const target = server.port === 0 ? address : `127.0.0.1:${server.port}`;
  const admin = new AdminClient(target, credentials.createInsecure());
  return {
    runtime: parts.admin,
    server,
    admin,
    async [Symbol.asyncDispose]() {
      admin.close();
      await server.close(100);
    },
  };
};

it('status tells everything that the runtime knows', async () => {
  await using fake = await start();
  const { response } = await unaryCall((cb) => fake.admin.status({}, cb));
  expect(response).toMatchObject({
    baseModel: 'tiny',
    uptimeMs: 1234.5,
    memory: { budgetBytes: 1000n, usedBytes: 100n },
    manifests: { problems: [{ file: 'a.yaml', line: 3, reason: 'bad' }] },
    adapters: [
      { key: 'default/upper', priority: -5, residentBytes: 100n, targetModules: ['q_proj', 'v_proj'] },
    ],
    rollouts: [{ key: 'default/sql', servedStable: 80n, servedCanary: 20n, effectiveWeight: 10 }],
    routes: [{ model: 'assistant', accepted: true }],
    operator: {
      address: 'operator:9443',
      state: 'connected',
      refused: [{ key: 'Route default/x', reason: 'bad' }],
      removalsHeld: { count: 9, remainingMs: 1501n },
    },
  });
});

it('status tells what was measured of a rollout that is decided about here', async () => {
  const variant = { count: 9, mean: 0.5, low: 0.4, high: 0.6 };
  const counts = { measured: 5, taken: 4, failed: 1, inconclusive: 2, consecutiveErrors: 1, waitedMs: 7 };
  const decided = aStatus({
    analysis: [
      { name: 'latency', phase: 'Running', ...counts, message: 'm' },
      {
        name: 'reward',
        step: 2,
        phase: 'Failed',
        ...counts,
        value: 0,
        bound: -1,
        message: '',
        variants: { canary: variant },
      },
    ],
  });
  const [view] = new FakeAdmin().status().rollouts;
  const rollout = rolloutMessage({
    ...(view ?? expect.fail('no rollout')),
    object: aRollout({ name: 'sql' }, { adapter: 'v1' }, decided),
  });
  expect(Rollout.decode(Rollout.encode(rollout).finish()).metrics).toEqual([
    {
      name: 'latency',
      step: 0,
      phase: 'Running',
      taken: 4,
      failed: 1,
      inconclusive: 2,
      consecutiveErrors: 1,
      message: 'm',
    },
    {
      name: 'reward',
      step: 3,
      phase: 'Failed',
      taken: 4,
      failed: 1,
      inconclusive: 2,
      consecutiveErrors: 1,
      value: 0,
      bound: -1,
      message: '',
      canary: variant,
    },
  ]);
});

it('every verb reaches the runtime, names without a namespace are in the default one', async () => {
  await using fake = await start();
  const { admin } = fake;
  await unaryCall((cb) => admin.preload({ adapter: 'upper' }, cb));
  await unaryCall((cb) => admin.pin({ adapter: 'team-a/x', pinned: true }, cb));
  await unaryCall((cb) => admin.pin({ adapter: 'upper', pinned: false }, cb));
  const evicted = await unaryCall((cb) => admin.evict({ adapter: 'upper' }, cb));
  expect(evicted.response).toMatchObject({ adapter: { key: 'default/upper' } });
  for (const verb of ['rollback', 'promote', 'abort', 'retry'] as const) {
    const { response } = await unaryCall((cb) => admin[verb]({ rollout: 'sql', full: false }, cb));
    expect(response).toMatchObject({ rollout: { key: 'default/sql', step: '2/6' } });
  }
  await unaryCall((cb) => admin.promote({ rollout: 'sql', full: true }, cb));
  expect(fake.runtime.told).toEqual([
    'preload default/upper',
    'pin team-a/x true',
    'pin default/upper false',
    'evict default/upper',
    'rollback default/sql',
    'promote default/sql',
    'abort default/sql',
    'retry default/sql',
    'promote-full default/sql',
  ]);
  const listed = await unaryCall((cb) => admin.list({ namespace: 'other' }, cb));
  expect(listed.response).toEqual({ adapters: [] });
});

it('a request is explained with all that is known of it; without a prompt it has no text', async () => {
  await using fake = await start();
  const asked = { namespace: '', model: 'assistant', headers: {}, user: 'u1', session: '' };
  const { response } = await unaryCall((cb) => fake.admin.explain({ ...asked, prompt: 'my heart' }, cb));
  expect(response).toEqual({
    kind: 'route',
    route: 'default/assistant',
    rule: '',
    rules: [
      {
        name: 'medical',
        verdict: 'no',
        matches: [{ verdict: 'no', conditions: [{ text: 'user in [u1]', verdict: 'no', given: 'u2' }] }],
      },
    ],
    labels: [{ classifier: 'intent', label: 'a', score: 0.5, margin: 0.25, doubt: 'why', scores: [] }],
    candidates: [{ kind: 'base', text: 'the base model' }],
  });
  await unaryCall((cb) => fake.admin.explain({ ...asked, model: 'team-b/x', prompt: undefined }, cb));
  expect(fake.runtime.told).toEqual([
    'explain default/assistant my heart',
    'explain team-b/team-b/x no text',
  ]);
  await expect(unaryCall((cb) => fake.admin.explain({ ...asked, model: '' }, cb))).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
  });
});

it('what a person says about the operator reaches the runtime', async () => {
  await using fake = await start();
  await unaryCall((cb) => fake.admin.trustCluster({}, cb));
  const { response } = await unaryCall((cb) => fake.admin.confirmRemovals({}, cb));
  expect(response).toEqual({ removed: 7 });
  expect(fake.runtime.told).toEqual(['trustCluster', 'confirmRemovals']);
});

it('a refused verb, an unknown rollout and a bad name have their own statuses', async () => {
  await using fake = await start();
  fake.runtime.held = true;
  const { admin } = fake;
  await expect(unaryCall((cb) => admin.evict({ adapter: 'upper' }, cb))).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: expect.stringContaining('default/upper is what a rollout serves'),
  });
  await expect(unaryCall((cb) => admin.abort({ rollout: 'x' }, cb))).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  for (const adapter of ['', '/', 'a/', '/b', 'a/b/c'])
    await expect(unaryCall((cb) => admin.preload({ adapter }, cb))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
});

it('the socket opens for its own user only, and is gone after close', async () => {
  const path = join(folder, 'admin.sock');
  {
    await using fake = await start();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(fake.server.port).toBe(0);
  }
  await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
});

it('a socket left by a killed process is replaced, one that answers is not', async () => {
  const path = join(folder, 'admin.sock');
  const dead = createServer().listen(path);
  await new Promise((resolve) => {
    dead.once('listening', resolve);
  });
  await expect(start()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  // Closing a net.Server removes its file; a hard link survives as a dead socket does.
  const { link } = await import('node:fs/promises');
  await link(path, join(folder, 'left.sock'));
  await new Promise((resolve) => {
    dead.close(resolve);
  });
  await using fake = await start(`unix:${join(folder, 'left.sock')}`);
  await expect(unaryCall((cb) => fake.admin.status({}, cb))).resolves.toBeDefined();
});

it('a path too long for a unix socket is a configuration error', async () => {
  await expect(start(`unix:${join(folder, 'x'.repeat(120))}`)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('too long'),
  });
});

it('on TCP it has a port of its own, and the data port does not know it', async () => {
  await using fake = await start('127.0.0.1:0');
  expect(fake.server.port).toBeGreaterThan(0);
  await using data = await startFakeGrpc();
  const stranger = new AdminClient(data.address, credentials.createInsecure());
  await expect(unaryCall((cb) => stranger.status({}, cb))).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
  });
  stranger.close();
});
