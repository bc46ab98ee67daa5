import { beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { adapters, arm, at, route, split } from '../../control/plans.fixture.ts';
import type { Resource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const rollouts = Array.from({ length: 20 }, (_, n) => split(`s-${n}`, { stable: arm(`a-${n}`) }));

let nodes: AsyncDisposableStack;
beforeEach(() => {
  nodes = new AsyncDisposableStack();
  return () => nodes.disposeAsync();
});

/** A node with 20 adapters, each of which a rollout serves, that has reported them. */
const following = async () => {
  const operator = new MemoryOperator();
  const clock = new FakeClock();
  const node = nodes.use(await startTestNode({ folder: folderOfTest(), dial: operator.dial, clock }));
  const stream = await waitFor('the stream', () => operator.streams[0]);
  stream.welcome();
  const reported = async () => {
    const before = stream.reports.length;
    clock.advance(100);
    await settle();
    return stream.reports.slice(before);
  };
  const commit = async (put: readonly Resource[], ...removed: readonly string[]) => {
    stream.put(...put);
    stream.remove(...removed);
    stream.commit(at(5));
    await settle();
    return await reported();
  };
  await commit([...adapters(20), ...rollouts]);
  await reported();
  const asked = {
    adapters: vi.spyOn(node.residency, 'facts'),
    rollouts: vi.spyOn(node.tally.served, 'atWeight'),
  };
  return { node, asked, commit, reported };
};

describe('the report after a commit that changes rollouts alone', () => {
  it('has what changed, and looks at no adapter and at no other rollout', async () => {
    const { asked, commit } = await following();
    const reports = await commit([split('s-3', { stable: arm('a-3'), weight: 5 }), split('s-new')]);
    expect(reports).toMatchObject([
      {
        adapters: [],
        rollouts: [
          { key: 'team-a/s-3', weight: 5 },
          { key: 'team-a/s-new', weight: 0 },
        ],
        goneRollouts: [],
      },
    ]);
    expect(asked.adapters).not.toHaveBeenCalled();
    expect(asked.rollouts.mock.calls.map(([uid]) => uid)).toEqual(['uid-s-3', 'uid-s-new']);
    expect(await commit([], 'Split team-a/s-new')).toMatchObject([
      { rollouts: [], goneRollouts: ['team-a/s-new'] },
    ]);
    expect(asked.adapters).not.toHaveBeenCalled();
  });

  it('has what else changed meanwhile, when the node says that something did', async () => {
    const { node, commit, reported } = await following();
    node.residency.states.set('team-a/a-7', { state: 'Resident' });
    node.source.wake();
    const reports = await commit([split('s-3', { stable: arm('a-3'), weight: 5 })]);
    expect(reports).toMatchObject([
      { adapters: [{ key: 'team-a/a-7', state: 'Resident' }], rollouts: [{ key: 'team-a/s-3' }] },
    ]);
    expect(await reported()).toEqual([]);
  });

  it('goes on from what was told: what one leaves out is in the next that looks at all', async () => {
    const { node, commit, reported } = await following();
    node.residency.states.set('team-a/a-7', { state: 'Resident' });
    expect(await commit([split('s-3', { stable: arm('a-3'), weight: 5 })])).toMatchObject([{ adapters: [] }]);
    node.source.wake();
    expect(await reported()).toMatchObject([{ adapters: [{ key: 'team-a/a-7' }], rollouts: [] }]);
  });
});

it('a report after a commit that changes anything else looks at all', async () => {
  const { asked, commit } = await following();
  await commit([split('s-3', { stable: arm('a-3'), weight: 5 }), route('r')]);
  expect(asked.adapters).toHaveBeenCalled();
  expect(asked.rollouts).toHaveBeenCalledTimes(20);
});
