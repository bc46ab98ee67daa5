import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { heldHashOfPlan } from '../../control/held-versions.ts';
import { adapter, at, planOf } from '../../control/plans.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { MemoryOperator, type MemoryStream } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'held-hash-'));
});
afterEach(() => rm(folder, { recursive: true }));

const plan = [adapter('a'), adapter('b')];
const hash = heldHashOfPlan(planOf(...plan));

/** A node with a plan in force, and what waits for its next stream. */
const following = async () => {
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
  first.put(...plan);
  first.commit(at(5));
  await waitFor('the answer', () => first.acks.length === 1);
  return { operator, node, first, next };
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
    second.welcome('cluster-1', false);
    expect(second.cancelled).toBe(true);
    expect(node.operator.lastError).toContain('reads no hash');
    const third = await next(2);
    expect(third.hello.held.map(({ key }) => key)).toEqual(['AdapterSpec team-a/a', 'AdapterSpec team-a/b']);
    expect(third.hello.heldHash).toHaveLength(0);
    third.welcome('cluster-1', false);
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
    (await next(1)).welcome('cluster-1', false);
    const third = await next(2);
    third.welcome();
    expect(third.cancelled).toBe(false);
    third.end();
    expect((await next(3)).hello.heldHash.equals(hash)).toBe(true);
    await node.source.close();
  });
});
