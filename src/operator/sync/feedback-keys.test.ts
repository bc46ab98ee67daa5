import { expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { FeedbackKeys, keyOfNamespace } from '../../runtime/serving/counts/feedback-keys.ts';
import { feedbackKeysFor } from './feedback-keys.ts';

const roots = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const authority = { feedbackRoots: () => roots };
/** What a runtime makes of them. */
const learnt = (kind: 'Node' | 'Pod', name: string): FeedbackKeys => {
  const keys = new FeedbackKeys({ own: '0'.repeat(64), given: [] });
  const given = feedbackKeysFor({ kind, key: objectKey('team-a', name) }, authority);
  keys.learn(given.map(({ namespace, key }) => ({ namespace, key: key.toString('hex') })));
  return keys;
};

it('runtimes of nodes and of pods have the same keys for a namespace, the one of now first', () => {
  const expected = roots.map((root) => keyOfNamespace(root, 'team-a'));
  expect(learnt('Node', 'edge-1').of('team-a').slice(0, 2)).toEqual(expected);
  expect(learnt('Pod', 'app').of('team-a').slice(0, 2)).toEqual(expected);
});

it('the runtime of a pod can make no ids of another namespace', () => {
  const [node, pod] = [learnt('Node', 'edge-1').of('team-b'), learnt('Pod', 'app').of('team-b')];
  expect(pod).toHaveLength(1);
  expect(node.slice(0, roots.length)).not.toContainEqual(pod[0]);
});
