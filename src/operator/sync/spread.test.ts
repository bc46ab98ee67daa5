import { afterEach, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { objectKey } from '../../api/names.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { limitOf } from './balance.ts';
import { type Lease, nodeToken, setLeader, startReplica, TestApi, type TestReplica } from './fake-replica.ts';
import { FakeRuntime } from './fake-runtime.ts';

const size = 60;
const names = ['operator-a', 'operator-b', 'operator-c'];

let clock: FakeClock;
let replicas: TestReplica[];
/** The newest stream of each runtime. */
let streams: Map<string, { readonly runtime: FakeRuntime; readonly seq: bigint; reported: boolean }>;

beforeEach(async () => {
  clock = new FakeClock(Date.now());
  const api = new TestApi();
  const lease: Lease = { leader: undefined, listeners: new Set() };
  streams = new Map();
  replicas = [];
  for (const name of names) replicas.push(await startReplica(name, { api, clock, lease, logger: silentLog }));
  setLeader(lease, replicas[0]);
});
afterEach(async () => {
  for (const { runtime } of streams.values()) runtime.close();
  let isClosed = false;
  const closing = Promise.all(replicas.map(({ server }) => server.close(500))).then(() => (isClosed = true));
  await waitFor('the end', () => {
    clock.advance(500);
    return isClosed;
  });
  await closing;
  for (const { authority } of replicas) authority.close();
});

const dial = (name: string, to: TestReplica, seq: bigint): void => {
  const runtime = new FakeRuntime(to.server.address, to.authority.credentials().bundle, nodeToken(name));
  runtime.hello({ connectionSeq: seq }, name);
  streams.set(name, { runtime, seq, reported: false });
};
/** As runtimes do: a report after the Welcome, another stream after one that ended in order. True: all are connected. */
const follow = (next: () => TestReplica): boolean => {
  let isWhole = true;
  for (const [name, stream] of streams) {
    const { runtime, seq } = stream;
    if (runtime.ended !== undefined) {
      expect(runtime.ended.code).toBe('OK');
      runtime.close();
      dial(name, next(), seq + 1n);
      isWhole = false;
    } else if (!runtime.welcomed) isWhole = false;
    else if (!stream.reported) {
      runtime.report({ whole: true, ready: true, message: '' });
      stream.reported = true;
    }
  }
  return isWhole;
};
const sizes = (): number[] => replicas.map(({ server }) => server.gauges().streams);

it('runtimes that all came to one of three replicas are spread again, and none is shown as away meanwhile', async () => {
  const [leader, full] = replicas;
  if (leader === undefined || full === undefined) throw new Error('there are three');
  let turn = 0;
  // As a Service does on average.
  const next = (): TestReplica => replicas[turn++ % replicas.length] ?? full;
  for (let i = 0; i < size; i++) dial(`node-${i}`, full, 1n);
  const leaderKnows = () => [...leader.fleet.all()].filter(({ connected }) => connected).length;
  await waitFor('all of them', () => {
    clock.advance(20);
    return follow(next) && leaderKnows() === size;
  });
  expect(sizes()).toEqual([0, size, 0]);
  const away: string[] = [];
  leader.fleet.onChange(({ runtime }) => {
    if (leader.fleet.get(runtime)?.connected !== true) away.push(runtime);
  });
  await waitFor(
    'streams to be spread',
    () => {
      // Time stands nearly still while one of them dials: how long that takes is not what this is about.
      clock.advance(follow(next) ? 500 : 5);
      return Math.max(...sizes()) <= limitOf(size / 3) && sizes().reduce((a, b) => a + b) === size;
    },
    60_000,
  );
  const moved = full.server.gauges().moved;
  expect(moved).toBeGreaterThanOrEqual(size - limitOf(size / 3));
  await waitFor('everything to be told', () => {
    clock.advance(20);
    return follow(next) && leaderKnows() === size;
  });
  expect(away).toEqual([]);
  expect(leader.fleet.get(objectKey('adaptlet-system', 'node-0'))?.ready).toBe(true);
  // What is spread stays as it is.
  for (let second = 0; second < 120; second++) {
    clock.advance(1_000);
    follow(next);
  }
  expect(full.server.gauges().moved).toBe(moved);
});
