import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode;
const rollout = async () => (await node.client.status()).rollouts.find((r) => r.key === 'default/shout');
const post = async (path: string, body: unknown) => {
  const response = await fetch(`${node.http}/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const ask = async (user: string): Promise<string> => {
  const { body } = await post('completions', { model: 'shout', prompt: 'moon:', max_tokens: 4, user });
  return String(body['id']);
};

beforeAll(async () => {
  node = await TestNode.start();
  await node.write(
    'adapters.yaml',
    ['upper', 'reverse'].map((n) => yaml.adapter(n, `adapters/${n}`)).join(''),
  );
  const write = (adapter: string) =>
    node.write('shout.yaml', yaml.rollout('shout', adapter, '{setWeight: 50}, {pause: {}}'));
  await write('upper');
  await waitFor('stable', async () => (await rollout())?.phase === 'Healthy');
  await write('reverse');
  await waitFor('a canary', async () => (await rollout())?.effectiveWeight === 50);
});
afterAll(() => node.dispose());

it('feedback about answers of before a restart is taken after it, in one list, and made-up ids are refused', async () => {
  const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => ask(`u${i}`)));
  expect(new Set(ids).size).toBe(ids.length);
  await node.end();
  node = await TestNode.start({ folder: node.folder });
  await waitFor('the canary again', async () => (await rollout())?.effectiveWeight === 50);
  const [first = ''] = ids;
  const changed = `${first.slice(0, -1)}${first.endsWith('A') ? 'Q' : 'A'}`;
  const items = [...ids.map((id) => ({ id, reward: 1 })), { id: changed, reward: 1 }];
  const { status, body } = await post('feedback', items);
  expect(status).toBe(200);
  const data = body['data'] as Record<string, unknown>[];
  expect(data).toHaveLength(items.length);
  for (const one of data.slice(0, -1)) expect(one).toMatchObject({ rollout: 'shout', replaced: false });
  expect(data.at(-1)).toMatchObject({ id: changed, error: { code: 'feedback_unknown' } });
  // Again, as a labelling job does that was cut off.
  const again = await post('feedback', items);
  expect((again.body['data'] as Record<string, unknown>[])[0]).toMatchObject({ replaced: false });
});
