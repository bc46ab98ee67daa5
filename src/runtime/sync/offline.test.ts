import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { countsFromWire } from '../../control/arm-counts.ts';
import { adapter, at, split } from '../../control/plans.fixture.ts';
import { total } from '../../rollout/judge/counts.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { route } from '../routing/route.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const hour = 3_600_000;
const day = 24 * hour;
const outages = [
  ['1 hour', hour],
  ['1 day', day],
  ['30 days', 30 * day],
] as const;

const bound = (name: string, digest: Digest) => ({ adapter: name, uid: `uid-${name}`, digest });
const stable = bound('a', fakeDigest('a'));
const canary = { ...bound('b', fakeDigest('b')), seed: '00000000000000aa', attempt: 1 };
const plan = [
  adapter('a'),
  adapter('b'),
  adapter('z'),
  split('sql', { stable, canary, former: bound('z', fakeDigest('c')), weight: 20 }),
];
const sql = objectKey('team-a', 'sql');

let folder: string;
let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
  folder = folderOfTest();
});
afterEach(() => stack.disposeAsync());

const start = async (operator: MemoryOperator, clock: FakeClock, random = () => 0.5) => {
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const node = stack.use(await startTestNode({ folder, dial: operator.dial, clock, logger, random }));
  for (const { adapter: name, digest } of [stable, canary])
    node.residency.states.set(objectKey('team-a', name), { state: 'Resident', digest });
  node.residency.states.set(objectKey('team-a', 'z'), { state: 'Compiled', digest: fakeDigest('c') });
  return {
    ...node,
    node,
    lines,
    get operator() {
      return node.operator;
    },
  };
};
type Node = Awaited<ReturnType<typeof start>>;

/** A node that follows, with the plan in force. */
const following = async (clock: FakeClock, random?: () => number) => {
  const operator = new MemoryOperator();
  const node = await start(operator, clock, random);
  await waitFor('the stream', () => operator.streams[0]);
  operator.last.welcome();
  operator.last.put(...plan);
  operator.last.commit(at(5));
  await waitFor('the answer', () => operator.last.acks.length === 1);
  return { operator, node };
};
const cut = (operator: MemoryOperator) => {
  operator.refuse = new Error('ECONNREFUSED');
  operator.last.end();
};
/** Time passes in so many steps; in each the node does what is due, its disk included. */
const pass = async ({ node }: Node, clock: FakeClock, ms: number, steps = 30) => {
  for (let step = 0; step < steps; step++) {
    clock.advance(ms / steps);
    await settle();
    while (node.operator.state === 'connecting') await new Promise(setImmediate);
  }
};
/** The operator is there again; the stream that comes. */
const back = async (operator: MemoryOperator, clock: FakeClock) => {
  const before = operator.streams.length;
  operator.refuse = undefined;
  return waitFor('the next stream', async () => {
    clock.advance(30_000);
    await settle();
    const stream = operator.streams.length > before ? operator.last : undefined;
    return stream !== undefined && stream.requests.length > 0 && !stream.cancelled && stream;
  });
};
/** A request of each user is answered as routing says. */
const answer = ({ node }: Node, users: number) => {
  for (let i = 0; i < users; i++) {
    const context = { namespace: 'team-a', model: 'sql', user: `u${i}`, headers: new Map() };
    const [candidate] = route(node.plan.table, context, node.facts, `r${i}`).candidates;
    if (candidate?.kind !== 'adapter' || candidate.split === undefined) throw new Error('no rollout chose');
    const { split: by, rollout, arm, digest = stable.digest } = candidate;
    if (arm !== 'stable' && arm !== 'canary') throw new Error('no arm was chosen');
    node.tally.answered({ split: by, rollout, arm, digest }, 10);
  }
};
const filesOf = async (): Promise<Record<string, number>> => {
  const names = await readdir(join(folder, 'state'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, 'state', name))).size));
  return Object.fromEntries(names.map((name, i) => [name, sizes[i] ?? 0]));
};

describe.each(outages)('a node without its operator for %s', (_, ms) => {
  it('has its plan in force all the time, and takes up the stream where it was', async () => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock);
    const { hello } = operator.last;
    cut(operator);
    const { table } = node.plan;
    await pass(node, clock, ms);
    expect(node.plan.table).toBe(table);
    expect(node.operator).toMatchObject({ state: 'waiting', lastError: 'ECONNREFUSED', revision: '5/5/5/5' });
    const stream = await back(operator, clock);
    expect(stream.hello.connectionSeq).toBeGreaterThan(hello.connectionSeq);
    expect(stream.hello.revision).toEqual(at(5));
    expect(stream.hello.held).toEqual([]);
    expect(stream.hello.heldHash).toHaveLength(32);
    stream.welcome();
    expect(stream.listed()).toHaveLength(plan.length);
    await waitFor('the connection', () => node.operator.state === 'connected');
  });

  it('says so once in its log, and grows no file', async () => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock);
    cut(operator);
    await settle();
    await waitFor('the plan on the disk', async () => (await filesOf())['plan.json']);
    const before = { files: await filesOf(), lines: node.lines.length };
    await pass(node, clock, ms);
    expect(node.lines.length - before.lines).toBeLessThanOrEqual(1);
    const files = await filesOf();
    expect(Object.keys(files).sort()).toEqual(Object.keys(before.files).sort());
    // The number of the connection may get another digit.
    for (const [name, size] of Object.entries(files))
      expect(size).toBeLessThan((before.files[name] ?? 0) + 8);
  });

  it('tells what it counted meanwhile, once and whole', async () => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock);
    answer(node, 100);
    clock.advance(2_000);
    await settle();
    cut(operator);
    for (let part = 0; part < 10; part++) {
      answer(node, 100);
      await pass(node, clock, ms / 10, 3);
    }
    const stream = await back(operator, clock);
    stream.welcome();
    await waitFor('the report', () => stream.reports.length > 0);
    const [rollout] = stream.reports[0]?.rollouts ?? [];
    const told = rollout?.counts.map(countsFromWire) ?? [];
    expect(told.map(({ weight }) => weight)).toEqual([20]);
    expect(told.map(({ stable: s, canary: c }) => total(s.requests) + total(c.requests))).toEqual([1_100]);
    expect(Number(rollout?.servedStable) + Number(rollout?.servedCanary)).toBe(1_100);
    // Nothing new: nothing is told again.
    await pass(node, clock, hour);
    expect(stream.reports.slice(1).flatMap(({ rollouts }) => rollouts)).toEqual([]);
  });

  it('can be rolled back by hand, over a restart, and the operator hears of it', async () => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock);
    cut(operator);
    await pass(node, clock, ms);
    expect(await node.source.verb(sql, 'rollback')).toMatchObject({ phase: 'Degraded', canary: 'b' });
    await node.source.close();
    const again = await start(operator, clock);
    expect(again.holds.ofRollout('uid-sql')).toMatchObject([{ cause: 'BreakGlass', digest: canary.digest }]);
    await pass(again, clock, hour);
    const stream = await back(operator, clock);
    stream.welcome();
    await waitFor('the report', () => stream.reports.length > 0);
    expect(stream.reports[0]?.rollouts[0]?.holds).toMatchObject([{ digest: canary.digest }]);
  });
});

it.each([
  [0, 30_000],
  [0.5, 15_000],
  [0.99, 300],
])(
  'a node without its operator dials within 30 s of a refusal: chance takes off %d of it',
  async (part, pauseMs) => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock, () => part);
    cut(operator);
    // Until the pauses are as long as they get.
    await pass(node, clock, 10 * 60_000, 10 * 600);
    const before = operator.dialled;
    const times = 100;
    await pass(node, clock, times * pauseMs, times * 10);
    expect(operator.dialled - before).toBeGreaterThan(0.85 * times);
    expect(operator.dialled - before).toBeLessThanOrEqual(times + 1);
  },
);

describe('a node whose clock is wrong', () => {
  it('that starts in 1970 has its plan, counts connections on, and follows', async () => {
    const right = new FakeClock(Date.parse('2026-11-01T00:00:00Z'));
    const { operator, node } = await following(right);
    const { connectionSeq } = operator.last.hello;
    await node.source.close();
    const clock = new FakeClock(0);
    const again = await start(operator, clock);
    expect([...again.plan.table.adapters.keys()]).toHaveLength(3);
    const stream = await waitFor('the stream', () => operator.streams[1]);
    expect(stream.hello.connectionSeq).toBeGreaterThan(connectionSeq);
    stream.welcome();
    stream.commit(at(6));
    await waitFor('the answer', () => stream.acks.length === 1);
    expect(again.operator.revision).toBe('6/6/6/6');
  });

  it.each([
    ['years ahead', 50 * 365 * day],
    ['to 1970', -Date.parse('2026-11-01T00:00:00Z')],
  ])(
    'that jumps %s while it runs neither drops nor takes anything for it, and held removals wait as long',
    async (_, by) => {
      const wall = Date.parse('2026-11-01T00:00:00Z');
      const clock = new FakeClock(wall);
      const { operator, node } = await following(clock);
      answer(node, 10);
      operator.last.remove(
        'AdapterSpec team-a/a',
        'AdapterSpec team-a/b',
        'AdapterSpec team-a/z',
        'Split team-a/sql',
      );
      operator.last.commit(at(6));
      await waitFor('what is held back', () => node.operator.removalsHeld?.count === 4);
      clock.set(wall + by);
      clock.advance(60_000);
      await settle();
      expect(node.operator.removalsHeld?.remainingMs).toBe(540_000);
      expect(node.operator.state).toBe('connected');
      expect(node.plan.table.splits.size).toBe(1);
      expect(node.counts.ofRollout(sql)).toMatchObject({ stable: expect.any(Number) });
    },
  );
});

describe('a cluster that came back from an older backup while the node was away', () => {
  it('is not followed before a person says so; then what it has is in force', async () => {
    const clock = new FakeClock();
    const { operator, node } = await following(clock);
    cut(operator);
    await pass(node, clock, 30 * day);
    const stream = await back(operator, clock);
    stream.welcome();
    stream.put(split('sql', { stable: bound('z', fakeDigest('c')) }));
    stream.commit(at(3));
    await waitFor('the end of the stream', () => stream.cancelled);
    expect(node.operator.lastError).toMatch(/^Stale: the replica has seen/);
    expect(node.plan.table.splits.get(sql)?.body.stable?.adapter).toBe('a');
    await node.source.trustCluster();
    const next = await back(operator, clock);
    expect(next.hello.clusterUid).toBe('');
    next.welcome();
    next.put(split('sql', { stable: bound('z', fakeDigest('c')) }));
    next.commit(at(3));
    await waitFor('the answer', () => next.acks.length === 1);
    expect(node.plan.table.splits.get(sql)?.body.stable?.adapter).toBe('z');
  });
});
