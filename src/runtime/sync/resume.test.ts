import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { heldHashOfPlan } from '../../control/held-versions.ts';
import { adapter, adapters, at, planOf } from '../../control/plans.fixture.ts';
import { SyncRequest, SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { MemoryOperator, type MemoryStream } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

let folder: string;
beforeEach(() => {
  folder = folderOfTest();
});

const plan = [adapter('a'), adapter('b')];
const hash = heldHashOfPlan(planOf(...plan));

/** A node with a plan in force, and what waits for its next stream. */
const following = async (resources = plan) => {
  const clock = new FakeClock();
  const operator = new MemoryOperator();
  const node = await startTestNode({ folder, dial: operator.dial, clock });
  const next = async (after: number): Promise<MemoryStream> =>
    waitFor('a stream', () => {
      clock.advance(1_000);
      const stream = operator.streams[after];
      return stream !== undefined && stream.requests.length > 0 && stream;
    });
  const first = await next(0);
  first.welcome();
  first.put(...resources);
  first.commit(at(5));
  await waitFor('the answer', () => first.acks.length === 1);
  /** A report of a state that changed. */
  const report = async (stream: MemoryStream, name: string, state: string): Promise<void> => {
    const before = stream.reports.length;
    node.residency.states.set(`team-a/${name}`, { state });
    node.source.wake();
    await waitFor('a report', () => {
      clock.advance(50);
      return stream.reports.length > before;
    });
  };
  return { operator, node, first, next, report };
};

describe('a runtime', () => {
  it('says the list while it holds nothing, and then the hash of what it holds', async () => {
    const { node, first, next } = await following();
    expect(first.hello).toMatchObject({ held: [], heldHash: Buffer.alloc(0) });
    first.end();
    const second = await next(1);
    expect(second.hello.held).toEqual([]);
    expect(second.hello.heldHash.equals(hash)).toBe(true);
    second.welcome();
    expect(second.listed()).toHaveLength(2);
    await node.source.close();
  });

  it('takes nothing from an operator that read no hash, and says the list to it', async () => {
    const { operator, node, first, next } = await following();
    first.end();
    const second = await next(1);
    second.welcome('cluster-1', { readsHeldHash: false });
    expect(second.cancelled).toBe(true);
    expect(node.operator.lastError).toContain('reads no hash');
    const third = await next(2);
    expect(third.hello.held.map(({ key }) => key)).toEqual(['AdapterSpec team-a/a', 'AdapterSpec team-a/b']);
    expect(third.hello.heldHash).toHaveLength(0);
    third.welcome('cluster-1', { readsHeldHash: false });
    third.remove('AdapterSpec team-a/b');
    third.commit(at(6));
    await waitFor('the answer', () => third.acks.length === 1);
    expect([...node.plan.table.adapters.keys()]).toEqual(['team-a/a']);
    expect(operator.streams).toHaveLength(3);
    await node.source.close();
  });

  it('says the hash again once an operator reads it', async () => {
    const { node, first, next } = await following();
    first.end();
    (await next(1)).welcome('cluster-1', { readsHeldHash: false });
    const third = await next(2);
    third.welcome();
    expect(third.cancelled).toBe(false);
    third.end();
    expect((await next(3)).hello.heldHash.equals(hash)).toBe(true);
    await node.source.close();
  });
});

describe('the reports of a runtime', () => {
  /** Its stream ended; the operator of the next one has as many reports of the former one. */
  const back = async (more: { readonly lost?: number } = {}) => {
    const { node, first, next, report } = await following();
    await report(first, 'a', 'Stored');
    await report(first, 'a', 'Resident');
    first.end();
    node.residency.states.set('team-a/b', { state: 'Resident' });
    const second = await next(1);
    const count = BigInt(first.reports.length - (more.lost ?? 0));
    second.welcome('cluster-1', { reportsKept: { connectionSeq: first.hello.connectionSeq, count } });
    await waitFor('a report', () => second.reports.length > 0);
    return { node, first, second, next };
  };

  it('go on where the operator has all of them, with what changed meanwhile', async () => {
    const { node, second, next } = await back();
    expect(second.reports[0]).toMatchObject({ whole: false, resumes: true, ready: true });
    expect(second.reports[0]?.adapters.map(({ key, state }) => [key, state])).toEqual([
      ['team-a/b', 'Resident'],
    ]);
    second.end();
    const third = await next(2);
    const { connectionSeq } = second.hello;
    const count = BigInt(second.reports.length);
    third.welcome('cluster-1', { reportsKept: { connectionSeq, count } });
    await waitFor('a report', () => third.reports.length > 0);
    expect(third.reports[0]).toMatchObject({ resumes: true, adapters: [] });
    await node.source.close();
  });

  it('have everything where one was lost', async () => {
    const { node, second } = await back({ lost: 1 });
    expect(second.reports[0]).toMatchObject({ whole: true, resumes: false });
    expect(second.reports[0]?.adapters).toHaveLength(2);
    await node.source.close();
  });

  it('have everything where the operator has those of a stream before the last', async () => {
    const { node, first, second, next } = await back();
    second.end();
    const third = await next(2);
    const { connectionSeq } = first.hello;
    const count = BigInt(first.reports.length);
    third.welcome('cluster-1', { reportsKept: { connectionSeq, count } });
    await waitFor('a report', () => third.reports.length > 0);
    expect(third.reports[0]).toMatchObject({ whole: true, resumes: false });
    await node.source.close();
  });
});

it('a reconnect of a runtime with 10,000 adapters at rest is less than 4 KiB, both ways together', async () => {
  const { node, first, next, report } = await following(adapters(10_000));
  await report(first, 'a-0', 'Stored');
  await report(first, 'a-1', 'Stored');
  const bytes = (stream: MemoryStream) =>
    stream.requests.reduce((sum, request) => sum + SyncRequest.encode(request).finish().length, 0);
  expect(bytes(first)).toBeGreaterThan(500_000);
  first.end();
  const second = await next(1);
  const { connectionSeq } = first.hello;
  const reportsKept = { connectionSeq, count: BigInt(first.reports.length) };
  const welcome = {
    clusterUid: 'cluster-1',
    replica: 'replica-1',
    readsHeldHash: true,
    reportsKept,
    reportLike: undefined,
    feedbackKeys: [],
  };
  second.send({ $case: 'welcome', value: welcome });
  await waitFor('a report', () => second.reports.length > 0);
  const down = SyncResponse.encode({ message: { $case: 'welcome', value: welcome } }).finish().length;
  expect(bytes(second) + down).toBeLessThan(4_096);
  await node.source.close();
});
