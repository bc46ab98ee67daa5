import { expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { countsFromWire } from '../../control/arm-counts.ts';
import { adapter, at, split } from '../../control/plans.fixture.ts';
import { elsewhereFromWire } from '../../control/rewards-wire.ts';
import { total } from '../../rollout/judge/counts.ts';
import { originOf } from '../../rollout/judge/elsewhere.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { route } from '../routing/route.ts';
import { FeedbackKeys } from '../serving/counts/feedback-keys.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const arm = (name: string, digest: Digest) => ({ adapter: name, uid: `uid-${name}`, digest });
const stable = arm('a', fakeDigest('a'));
const canaryOf = (attempt: number) => ({ ...arm('b', fakeDigest('b')), seed: '00000000000000aa', attempt });

it('a node tells its operator what both arms did, and later only what changed of it', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = folderOfTest();
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
  const ids: string[] = [];
  /** Requests of that many users are answered as routing says; the counts that the operator is told then, by weight. */
  const answer = async (users: number) => {
    for (let i = 0; i < users; i++) {
      const context = { namespace: 'team-a', model: 'sql', user: `u${i}`, headers: new Map() };
      const [candidate] = route(node.plan.table, context, node.facts, `r${i}`).candidates;
      if (candidate?.kind !== 'adapter' || candidate.split === undefined) throw new Error('no rollout chose');
      const { split: by, rollout, arm: side, digest = stable.digest } = candidate;
      if (side !== 'stable' && side !== 'canary') throw new Error('no arm was chosen');
      const request = { split: by, rollout, arm: side, digest };
      ids.push(node.tally.feedback.idOf(request));
      node.tally.answered(request, 10);
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
  expect(node.tally.feedback.record(ids[7] ?? '', 1)).toMatchObject({ isFirst: true });
  await put(50, 2);
  expect(await answer(5)).toEqual([[50, 5]]);
});

it('a node tells its operator of feedback about answers of others, and of what is new of it later', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = folderOfTest();
  const operator = new MemoryOperator();
  const clock = new FakeClock();
  const node = stack.use(await startTestNode({ folder, dial: operator.dial, clock }));
  const stream = await waitFor('the stream', () => operator.streams[0]);
  const root = Buffer.alloc(32, 7);
  stream.welcome('cluster-1', { feedbackKeys: [{ namespace: '', key: root }] });
  const planned = split('sql', { stable, canary: canaryOf(1), weight: 20 });
  stream.put(adapter('a'), adapter('b'), planned);
  stream.commit(at(5));
  await waitFor('the plan', () => node.plan.table.splits.size > 0);

  // Another node, with the same keys.
  const keys = new FeedbackKeys({
    own: 'a'.repeat(64),
    given: [{ namespace: '', key: root.toString('hex') }],
  });
  const other = new RolloutCounts(undefined, undefined, { instance: 'instance-2', keys });
  other.follow([planned]);
  const idAt = (weight: number): string =>
    other.feedback.idOf({
      split: {
        key: planned.name,
        uid: planned.body.uid,
        canaryDigest: canaryOf(1).digest,
        weight,
        counted: { attempt: 1, weight, bucket: 3 },
      },
      arm: 'canary',
      digest: canaryOf(1).digest,
    });
  const told = async () => {
    const before = stream.reports.length;
    await waitFor('a report', async () => {
      clock.advance(2_000);
      await settle();
      return stream.reports.length > before;
    });
    const all = (stream.reports.at(-1)?.rollouts ?? []).flatMap(({ elsewhere }) => elsewhere);
    return elsewhereFromWire(all).unpacked();
  };
  expect(node.tally.feedback.record(idAt(20), 0.5)).toMatchObject({ arm: 'canary', isFirst: true });
  const origin = originOf('instance-2');
  const reward = { number: 0, bucket: 3, arm: 'canary', reward: 0.5 };
  expect(await told()).toMatchObject([{ origin, weight: 20, rewards: [reward] }]);
  node.tally.feedback.record(idAt(50), 1);
  expect(await told()).toMatchObject([
    { origin, weight: 50, rewards: [{ ...reward, number: 1, reward: 1 }] },
  ]);
  const third = idAt(20);
  node.tally.feedback.record(third, 2);
  expect((await told()).map(({ rewards }) => rewards)).toEqual([[{ ...reward, number: 2, reward: 2 }]]);
  node.tally.feedback.record(third, 3);
  expect((await told()).map(({ rewards }) => rewards)).toEqual([[{ ...reward, number: 2, reward: 3 }]]);
});
