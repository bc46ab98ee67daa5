import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AdapterReport, Hello, Report } from '../../../src/gen/adaptlet/control/v1/control.ts';
import type { RuntimeObject } from '../../../src/operator/objects/objects.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { HeapsInUse } from '../../support/heap-in-use.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { operatorMemory } from '../../support/operator.ts';
import { helloOf, RawRuntime } from '../../support/raw-runtime.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

/** Of the container in the chart. */
const limitMib = 1024;
const heaps = await HeapsInUse.open();
const operatorEnv = heaps.env(operatorMemory());

let fleet: TestFleet;
let token: string;
let caFile: string;
let pids: number[];
let seq = BigInt(Date.parse('2026-01-01'));
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2, operatorEnv });
  for (const name of ['upper', 'reverse'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await point('upper');
  await settled('upper');
  const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
  await fleet.cluster.createPod({ ...account, name: 'evil', node: 'evil' });
  token = await fleet.cluster.token({ ...account, audience: 'adaptlet', boundPod: 'evil' });
  caFile = await fleet.authority();
  pids = fleet.operators.map(({ pid }) => pid);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await heaps[Symbol.asyncDispose]();
});

const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
const settled = (adapter: keyof typeof moon) =>
  waitFor(`${adapter} on every runtime`, async () => {
    const texts = await Promise.all(fleet.nodes.map(async (node) => (await askMoon(node, 'shout')).text));
    return texts.every((text) => text === moon[adapter]);
  });
/** Connects to replica 0 as the runtime of the node `evil`, which this token belongs to. */
const open = (more: { readonly token?: string } = {}) =>
  RawRuntime.open({ address: fleet.operators[0]?.grpc ?? '', caFile, token, ...more });
const hello = (more: Partial<Hello> = {}): Hello =>
  helloOf(systemNamespace, 'evil', { connectionSeq: ++seq, ...more });
const greeted = async (more: Partial<Hello> = {}) => {
  const runtime = await open();
  await runtime.send({ $case: 'hello', value: hello(more) });
  await waitFor('the Welcome', () => runtime.isWelcome);
  return runtime;
};
const report = (more: Partial<Report> = {}): Report => ({
  whole: true,
  resumes: false,
  likeParts: [],
  adapters: [],
  gone: [],
  rollouts: [],
  goneRollouts: [],
  memory: undefined,
  disk: undefined,
  ready: true,
  message: '',
  removalsHeld: undefined,
  limits: [],
  classifiers: undefined,
  baseModel: undefined,
  ...more,
});
const adapterReport = (key: string, more: Partial<AdapterReport> = {}): AdapterReport => ({
  key,
  uid: 'u',
  digest: '',
  state: 'Resident',
  reason: '',
  message: '',
  isFinal: false,
  inTurn: false,
  storedBytes: 0n,
  residentBytes: 0n,
  neededBytes: 0n,
  rank: 1,
  targetModules: [],
  ...more,
});
/** MiB, of replica 0. */
const mostResident = async (): Promise<number> => {
  const text = await readFile(`/proc/${pids[0]}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(text)?.[1]) / 1024;
};
/** MiB that replica 0 has in use, without garbage. */
const inUse = async (): Promise<number> => (await waitFor('its heap', () => heaps.of(pids[0] ?? -1))).inUse;
const metric = async (pattern: RegExp): Promise<number> =>
  Number(pattern.exec((await fleet.operators[0]?.metrics()) ?? '')?.[1] ?? Number.NaN);

const streams = () => metric(/^adaptlet_operator_sync_streams (\d+)$/m);

let lane: ReturnType<typeof traffic>;
let before: number;
let turn = 0;
beforeEach(async () => {
  before = await inUse();
  lane = traffic(() => fleet.nodes[0] as TestNode, {
    model: 'shout',
    prompt: 'moon:',
    allowed: new Set([moon.upper, moon.reverse]),
    width: 1,
  });
});
// What all of them have in common: nobody else notices.
afterEach(async () => {
  const next = ['reverse', 'upper'] as const;
  const adapter = next[turn++ % 2] ?? 'upper';
  const started = performance.now();
  await point(adapter);
  await settled(adapter);
  // A rollout waits for a runtime that reported and left, for the 10 s in which it counts as one that comes back.
  expect(performance.now() - started).toBeLessThan(20_000);
  await lane.stop();
  expect({ failures: lane.failures, wrong: lane.wrong }).toEqual({ failures: [], wrong: [] });
  expect(fleet.operators.map((operator) => [operator.pid, operator.isRunning])).toEqual(
    pids.map((pid) => [pid, true]),
  );
  expect(await mostResident()).toBeLessThan(limitMib);
  // What a runtime said is kept for a while after it left: 50,000 entries and 13 MiB of text at most.
  expect((await inUse()) - before).toBeLessThan(64);
});

describe('a runtime that floods the operator or breaks the protocol disturbs nobody else', () => {
  it('when it sends bytes that are no HTTP/2', async () => {
    const [host = '', port = ''] = (fleet.operators[0]?.grpc ?? '').split(':');
    const ends = Array.from(
      { length: 50 },
      () =>
        new Promise<void>((resolve) => {
          const socket = connect({
            host,
            port: Number(port),
            rejectUnauthorized: false,
            ALPNProtocols: ['h2'],
          });
          socket
            .on('error', () => resolve())
            .on('close', () => resolve())
            .resume();
          socket.write(randomBytes(100_000));
        }),
    );
    await Promise.all(ends);
  });

  it('when it has no token, or one of somebody else', async () => {
    const stranger = await open({ token: 'x'.repeat(5000) });
    expect(await stranger.ended).toMatch(/^UNAUTHENTICATED/);
    const liar = await open();
    await liar.send({ $case: 'hello', value: helloOf(systemNamespace, 'node-0', { connectionSeq: ++seq }) });
    expect(await liar.ended).toMatch(/^PERMISSION_DENIED: .*the token belongs to the node evil/);
    expect((await fleet.nodes[0]?.client.status())?.operator?.state).toBe('connected');
  });

  it.each<[title: string, first: () => Partial<Hello>, says: RegExp]>([
    ['a Hello of another protocol', () => ({ protocol: 99 }), /protocol 99/],
    [
      'a Hello with ten thousand labels',
      () => ({ labels: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`l${i}`, 'v'])) }),
      /labels/,
    ],
    ['a Hello with a name of a megabyte', () => ({ version: '☃'.repeat(350_000) }), /version/],
    [
      'more resources than anybody holds',
      () => ({
        held: Array.from({ length: 60_000 }, (_, i) => ({ key: `AdapterSpec a/b${i}`, version: 'v' })),
      }),
      /holds 60000 resources/,
    ],
    ['more names than anybody asks for', () => ({ subscriptions: Array(20_000).fill('a/b') }), /20000 names/],
  ])('when it sends %s, and it is told what is wrong', async (_, first, says) => {
    const runtime = await open();
    await runtime.send({ $case: 'hello', value: hello(first()) });
    expect(await runtime.ended).toMatch(says);
  });

  it('when it has seen a future that there is not: it is sent away, and the API server is not asked for each', async () => {
    const lists = () => metric(/^adaptlet_operator_api_requests_total\{method="GET",code="OK"\} (\d+)$/m);
    const start = await lists();
    const startedAt = performance.now();
    const far = 2n ** 62n;
    const revision = { adapters: far, rollouts: far, routes: far, runtimes: far, policies: far };
    const clusterUid = (await fleet.nodes[0]?.client.status())?.operator?.clusterUid ?? '';
    let last: RawRuntime | undefined;
    const hellos = 40;
    for (let i = 0; i < hellos; i++) {
      last = await open();
      await last.send({ $case: 'hello', value: hello({ revision, clusterUid }) });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const asked = (await lists()) - start;
    // Of each of the five kinds a list every 5 s, and as much again for what a replica reads anyway, as Leases. Without
    // the gap every Hello would cost five lists.
    const most = 10 * Math.ceil((performance.now() - startedAt) / 5000) + 10;
    expect(most).toBeLessThan(5 * hellos);
    expect(asked).toBeLessThanOrEqual(most);
    expect(await last?.ended).toMatch(/^UNAVAILABLE: .*trust-cluster/);
  });

  it('when it answers a commit that it was never sent', async () => {
    const runtime = await greeted();
    await runtime.send({ $case: 'ack', value: { nonce: 77n, refused: [] } });
    expect(await runtime.ended).toMatch(/answers the commit 77, which it was not sent/);
  });

  it('when it never answers, and reads nothing', async () => {
    const runtime = await greeted();
    for (let i = 0; i < 4; i++) {
      const adapter = i % 2 === 0 ? 'reverse' : 'upper';
      await point(adapter);
      await settled(adapter);
    }
    expect(runtime.received.filter(({ message }) => message?.$case === 'commit')).toHaveLength(1);
    runtime.close();
  });

  it('when it reports more than anybody has', async () => {
    const many = (length: number, name: string, message = '') =>
      Array.from({ length }, (_, i) => adapterReport(`team/${name}${i}`, { message }));
    const after = async (first: AdapterReport[], second: AdapterReport[]): Promise<string> => {
      const runtime = await greeted();
      await runtime.send({ $case: 'report', value: report({ adapters: first }) });
      if (second.length > 0)
        await runtime.send({ $case: 'report', value: report({ whole: false, adapters: second }) });
      return await runtime.ended;
    };
    expect(await after(many(60_000, 'a', '☃'.repeat(100)), [])).toMatch(
      /^RESOURCE_EXHAUSTED|^INVALID_ARGUMENT: .*at most 50000/,
    );
    expect(await after(many(40_000, 'a'), many(15_000, 'b'))).toMatch(/more than 50000 entries/);
    const long = '☃'.repeat(100);
    expect(await after(many(24_000, 'a', long), many(24_000, 'b', long))).toMatch(
      /at most 13631488 are kept/,
    );
  });

  it('when it reports without an end', async () => {
    const runtime = await greeted();
    await runtime.send({ $case: 'report', value: report() });
    const until = performance.now() + 5000;
    let sent = 0;
    while (performance.now() < until && !runtime.isOver) {
      const message = `${sent++} ${'é'.repeat(2000)}`;
      void runtime.send({
        $case: 'report',
        value: report({
          whole: false,
          ready: sent % 2 === 0,
          message,
          adapters: [adapterReport('team/upper')],
        }),
      });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const object = await fleet.get<RuntimeObject>('adr', 'evil', systemNamespace);
    expect(JSON.stringify(object?.status).length).toBeLessThan(20_000);
    runtime.close();
  });

  it('when it connects a thousand times, most of them without a word', async () => {
    const all: RawRuntime[] = [];
    for (let batch = 0; batch < 20; batch++) {
      const opened = await Promise.all(Array.from({ length: 50 }, () => open()));
      for (const [i, runtime] of opened.entries())
        if (i % 10 === 0) void runtime.send({ $case: 'hello', value: hello() });
      all.push(...opened);
    }
    await waitFor('many streams at once', async () => (await streams()) > 300);
    await settled(turn % 2 === 1 ? 'reverse' : 'upper');
    for (const runtime of all) runtime.close();
    await Promise.all(all.map(({ ended }) => ended));
    await waitFor('the streams to be gone', async () => (await streams()) <= 2);
  });
});
