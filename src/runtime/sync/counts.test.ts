import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
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

const arm = (name: string, digest: Digest) => ({ adapter: name, uid: `uid-${name}`, digest });
const stable = arm('a', fakeDigest('a'));
const canaryOf = (attempt: number) => ({ ...arm('b', fakeDigest('b')), seed: '00000000000000aa', attempt });

it('a node tells its operator what both arms did, and later only what changed of it', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'counts-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const operator = new MemoryOperator();
  const clock = new FakeClock();
  const node = stack.use(await startTestNode({ folder, dial: operator.dial, clock }));
  const stream = await waitFor('the stream', () => operator.streams[0]);
  stream.welcome();
  const put = async (weight: number, attempt = 1) => {
    stream.put(adapter('a'), adapter('b'), split('sql', { stable, canary: canaryOf(attempt), weight }));
    stream.commit(at(5));
    await settle();
  };
  for (const { adapter: name, digest } of [stable, canaryOf(1)])
    node.residency.states.set(objectKey('team-a', name), { state: 'Resident', digest });
  /** Requests of that many users are answered as routing says; the counts that the operator is told then, by weight. */
  const answer = async (users: number) => {
    for (let i = 0; i < users; i++) {
      const context = { namespace: 'team-a', model: 'sql', user: `u${i}`, headers: new Map() };
      const [candidate] = route(node.plan.table, context, node.facts, `r${i}`).candidates;
      if (candidate?.kind !== 'adapter' || candidate.split === undefined) throw new Error('no rollout chose');
      const { split: by, rollout, arm: side, digest = stable.digest } = candidate;
      if (side !== 'stable' && side !== 'canary') throw new Error('no arm was chosen');
      node.tally.answered({ id: `r${i}`, split: by, rollout, arm: side, digest }, 10);
    }
    const before = stream.reports.length;
    await waitFor('a report of counts', async () => {
      clock.advance(2_000);
      await settle();
      return stream.reports.length > before;
    });
    return (stream.reports.at(-1)?.rollouts ?? [])
      .flatMap(({ counts }) => counts)
      .map(countsFromWire)
      .map((counts) => [counts.weight, total(counts.stable.requests) + total(counts.canary.requests)]);
  };

  await waitFor('the plan', async () => {
    await put(20);
    return node.plan.table.splits.size > 0;
  });
  expect(await answer(100)).toEqual([[20, 100]]);
  expect(await answer(10)).toEqual([[20, 110]]);
  await put(50);
  expect(await answer(30)).toEqual([[50, 30]]);
  expect(node.tally.feedback.record('r7', 1)).toMatchObject({ isFirst: true });
  await put(50, 2);
  expect(await answer(5)).toEqual([[50, 5]]);
});
