import { expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { keyOfNamespace } from '../serving/counts/feedback-keys.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const [now, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const ofFleet = (key: Buffer) => ({ namespace: '', key });
const start = async (stack: AsyncDisposableStack) => {
  const folder = folderOfTest();
  const operator = new MemoryOperator();
  const node = stack.use(await startTestNode({ folder, dial: operator.dial, clock: new FakeClock() }));
  const stream = await waitFor('the stream', () => operator.streams[0]);
  return { node, stream };
};

it('a runtime learns keys of ids of answers with the Welcome, and those of a later authority on the same stream', async () => {
  await using stack = new AsyncDisposableStack();
  const { node, stream } = await start(stack);
  const [own] = node.feedbackKeys.of('team-a');
  stream.welcome('cluster-1', { feedbackKeys: [ofFleet(now)] });
  await waitFor('the key', () => node.feedbackKeys.of('team-a').length === 2);
  stream.send({ $case: 'feedbackKeys', value: { keys: [ofFleet(next), ofFleet(now)] } });
  await waitFor('the next key', () => node.feedbackKeys.of('team-a').length === 3);
  expect(node.feedbackKeys.of('team-a')).toEqual([
    keyOfNamespace(next, 'team-a'),
    keyOfNamespace(now, 'team-a'),
    own,
  ]);
});

it('what is no key of 32 bytes signs nothing, and an operator of an earlier version gives none', async () => {
  await using stack = new AsyncDisposableStack();
  const { node, stream } = await start(stack);
  const own = node.feedbackKeys.of('team-a');
  const keys = [
    ofFleet(Buffer.alloc(0)),
    ofFleet(Buffer.alloc(64)),
    { ...ofFleet(now), namespace: 'x'.repeat(300) },
  ];
  stream.welcome('cluster-1', { feedbackKeys: keys });
  await settle();
  expect(node.source.report().operator?.state).toBe('connected');
  expect(node.feedbackKeys.of('team-a')).toEqual(own);
});
