import { credentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { digestSchema, objectKey } from '../../api/names.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import {
  AdapterReport,
  ControlClient,
  type RelayResponse,
  RolloutReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import { originOf } from '../../rollout/judge/elsewhere.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { RelayedRuntimes } from '../fleet/relay-server.ts';
import { type Lease, nodeToken, setLeader, startReplica, TestApi, type TestReplica } from './fake-replica.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { adapter } from './stage.fixture.ts';

const logger = silentLog;
const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
const key = objectKey('adaptlet-system', 'node-1');
const one = objectKey('team-a', 'one');

let api: TestApi;
let clock: FakeClock;
let lease: Lease;
let a: TestReplica;
let b: TestReplica;
let runtimes: FakeRuntime[];

beforeEach(async () => {
  api = new TestApi();
  clock = new FakeClock(Date.now());
  lease = { leader: undefined, listeners: new Set() };
  runtimes = [];
  a = await startReplica('operator-a', { api, clock, lease, logger });
  b = await startReplica('operator-b', { api, clock, lease, logger });
});
const stop = async (replica: TestReplica): Promise<void> => {
  let isClosed = false;
  const closing = (async () => {
    await replica.server.close(500);
    isClosed = true;
  })();
  await waitFor('the end', () => {
    clock.advance(500);
    return isClosed;
  });
  await closing;
};
afterEach(async () => {
  for (const runtime of runtimes) runtime.close();
  await Promise.all([a, b].map(stop));
  for (const { authority } of [a, b]) authority.close();
});

const eventually = <T>(what: string, look: () => T | undefined | false): Promise<T> =>
  waitFor(
    what,
    () => {
      clock.advance(20);
      return look();
    },
    10_000,
  );
const connect = async (to: TestReplica, connectionSeq = 1n): Promise<FakeRuntime> => {
  const runtime = new FakeRuntime(to.server.address, to.authority.credentials().bundle, nodeToken());
  runtimes.push(runtime);
  runtime.hello({ connectionSeq });
  await eventually('a Welcome', () => runtime.welcomed);
  return runtime;
};
const adapters = (state: string) => [{ ...AdapterReport.create(), key: one, digest, state }];
const stateAt = (replica: TestReplica): string | undefined =>
  replica.fleet.get(key)?.adapters.get(one)?.state;

describe('the relay', () => {
  it('tells the leader what runtimes of other replicas report, over mutual TLS', async () => {
    setLeader(lease, a);
    const runtime = await connect(b);
    runtime.report({ whole: true, adapters: adapters('Stored'), ready: true, message: 'ok' });
    await eventually('everything', () => stateAt(a) === 'Stored');
    expect(a.fleet.get(key)).toMatchObject({
      kind: 'Node',
      connected: true,
      ready: true,
      instance: 'instance-1',
      connectionSeq: 1n,
      info: { node: 'node-1', ownerUid: 'uid-of-node-1', baseModel: 'tiny' },
    });
    runtime.report({ adapters: adapters('Resident') });
    await eventually('a change', () => stateAt(a) === 'Resident');
    runtime.report({ gone: [one] });
    await eventually('its end', () => a.fleet.get(key)?.adapters.size === 0);
  });

  it('tells the leader how old the plans of its runtimes are, and nothing while all have theirs', async () => {
    const take = vi.spyOn(RelayedRuntimes.prototype, 'take');
    const told = () => take.mock.calls.filter(([{ message }]) => message?.$case === 'planAges').length;
    const age = () => new Map(a.server.planAges()).get(key);
    setLeader(lease, a);
    const runtime = await connect(b);
    expect(age()).toBeUndefined();
    runtime.report({ whole: true });
    await eventually('a plan that is in force', () => age() === 0);
    b.objects.adapters.put(adapter('one'));
    await eventually('a commit', () => runtime.commits === 1);
    clock.advance(10_000);
    await eventually('a plan that is not', () => (age() ?? 0) > 0);
    clock.advance(10_000);
    await eventually('an older one', () => (age() ?? 0) >= 10_000);
    runtime.ack(1n);
    await eventually('the answer', () => b.server.gauges().plans.ages.max === 0);
    clock.advance(10_000);
    await eventually('a plan that is in force again', () => age() === 0);
    const before = told();
    clock.advance(30_000);
    runtime.report({ adapters: adapters('Stored') });
    await eventually('what was said last', () => stateAt(a) === 'Stored');
    expect(told()).toBe(before);
    runtime.close();
    await eventually('its end', () => age() === undefined);
    take.mockRestore();
  });

  it('tells everything anew to the next leader', async () => {
    setLeader(lease, a);
    const runtime = await connect(b);
    runtime.report({ whole: true, adapters: adapters('Stored') });
    await eventually('a report', () => stateAt(a) === 'Stored');
    const second = new FakeRuntime(a.server.address, a.authority.credentials().bundle, nodeToken('node-2'));
    runtimes.push(second);
    second.hello({}, 'node-2');
    await eventually('a Welcome', () => second.welcomed);
    second.report({ whole: true });
    setLeader(lease, b);
    await eventually('the other one', () => b.fleet.get(objectKey('adaptlet-system', 'node-2'))?.connected);
    expect(stateAt(b)).toBe('Stored');
  });

  it('tells feedback and counts once in a stream, and all of them in the next one', async () => {
    setLeader(lease, a);
    const update = vi.spyOn(a.fleet, 'update');
    const told = () =>
      update.mock.calls.flatMap(([, { change }]) => change?.rollouts.get(one)?.elsewhere?.size ?? []);
    const runtime = await connect(b);
    const rollouts = (...numbers: number[]) => {
      const rewards = numbers.map((number) => ({ number, bucket: 0, arm: 'canary' as const, reward: 1 }));
      const [seq = 0] = numbers;
      const elsewhere = [elsewhereToWire({ origin: originOf('other'), weight: 5, seq, rewards })];
      return [{ ...RolloutReport.create(), key: one, canaryDigest: digest, attempt: 1, elsewhere }];
    };
    const known = () => a.fleet.get(key)?.rollouts.get(one)?.elsewhere?.size;
    runtime.report({ whole: true, rollouts: rollouts(1, 2, 3) });
    await eventually('feedback', () => known() === 3);
    runtime.report({ rollouts: rollouts(4) });
    await eventually('more of it', () => known() === 4);
    expect(told()).toEqual([3, 1]);
    setLeader(lease, undefined);
    await eventually('the end of the stream', () => a.server.gauges().relays === 0);
    update.mockClear();
    setLeader(lease, a);
    await eventually('everything again', () => told().length > 0);
    expect(told()).toEqual([4]);
    expect(known()).toBe(4);
  });

  it('waits for the next leader when the one in the Lease does not lead', async () => {
    lease.leader = { identity: 'operator-c', address: a.server.address };
    for (const listener of lease.listeners) listener();
    const runtime = await connect(b);
    runtime.report({ whole: true, adapters: adapters('Stored') });
    await eventually('the answer', () => b.server.gauges().relay.failures > 0);
    expect(a.fleet.get(key)).toBeUndefined();
    setLeader(lease, a);
    await eventually('a report', () => stateAt(a) === 'Stored');
  });

  it('shows a runtime that moves from one replica to the other as connected all the time', async () => {
    setLeader(lease, a);
    const seen: boolean[] = [];
    a.fleet.onChange(() => seen.push(a.fleet.get(key)?.connected === true));
    const first = await connect(b);
    first.report({ whole: true, adapters: adapters('Stored') });
    await eventually('a report', () => stateAt(a) === 'Stored');
    const next = await connect(a, 2n);
    next.report({ whole: true, adapters: adapters('Resident') });
    await eventually('the newer report', () => stateAt(a) === 'Resident');
    first.close();
    await eventually('the end there', () => b.server.gauges().streams === 0);
    for (let passed = 0; passed < 15; passed++) await eventually('time', () => (clock.advance(1_000), true));
    expect(a.fleet.get(key)).toMatchObject({ connected: true, connectionSeq: 2n });
    expect(new Set(seen)).toEqual(new Set([true]));
  });

  it('is not broken by a runtime that says a lot about what it refuses', async () => {
    setLeader(lease, a);
    const liar = await connect(b);
    liar.report({ whole: true });
    await eventually('a report', () => a.fleet.get(key)?.connected);
    const reason = 'x'.repeat(9 << 20);
    for (const nonce of [1n, 2n]) {
      b.objects.adapters.put(adapter(`a-${nonce}`));
      const put = await eventually('a commit', () => liar.commits === Number(nonce) && liar.of('put').at(-1));
      liar.ack(nonce, [{ key: put.key, version: put.version, reason }]);
      await eventually('the answer', () => b.fleet.get(key)?.refused.size === Number(nonce));
    }
    liar.report({ message: 'after it', ready: true });
    await eventually('what it says then', () => a.fleet.get(key)?.message === 'after it');
    expect(a.fleet.get(key)?.refused.size).toBe(2);
    expect(b.server.gauges().relay.failures).toBe(0);
  });

  it('lets a runtime be gone 10 seconds after the replica that had it', async () => {
    setLeader(lease, a);
    const runtime = await connect(b);
    runtime.report({ whole: true });
    await eventually('a report', () => a.fleet.get(key)?.connected);
    await stop(b);
    await eventually('the end of the relay', () => a.server.gauges().relays === 0);
    await waitFor('the grace', () => (clock.advance(2_000), a.fleet.get(key)?.connected === false));
  });

  it.each(['no certificate', 'the certificate of a stranger'])(
    'takes nothing from who has %s',
    async (what) => {
      setLeader(lease, a);
      const stranger = await startReplica('operator-b', { api: new TestApi(), clock, lease, logger });
      const bundle = Buffer.from(a.authority.credentials().bundle);
      const { key: own, certificate } = stranger.authority.credentials();
      const channel =
        what === 'no certificate'
          ? credentials.createSsl(bundle)
          : credentials.createSsl(bundle, Buffer.from(own), Buffer.from(certificate));
      const client = new ControlClient(a.server.address, channel, {
        'grpc.ssl_target_name_override': 'localhost',
      });
      const call = client.relay();
      const answers: RelayResponse[] = [];
      call.on('data', (answer: RelayResponse) => answers.push(answer));
      call.on('error', () => undefined);
      const ended = new Promise<number>((resolve) =>
        call.on('status', ({ code }: { code: number }) => resolve(code)),
      );
      call.write({ message: { $case: 'hello', value: { replica: 'operator-b' } } });
      expect(await ended).toBe(7);
      expect(answers).toEqual([]);
      client.close();
      await stop(stranger);
      stranger.authority.close();
    },
  );
});
