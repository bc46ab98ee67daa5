import { expect, it } from 'vitest';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeHttp as start } from '../testing/http-app.ts';
import { maxBatch } from './feedback.ts';

it('feedback says what gave the answer, and whether it replaced an earlier one', async () => {
  const { post, parts } = start();
  const by = { object: 'feedback', id: 'r1', rollout: 'sql', arm: 'canary', digest: fakeDigest('a') };
  const first = await post('/v1/feedback', { id: 'r1', reward: -1 });
  expect([first.status, await first.json()]).toEqual([200, { ...by, replaced: false }]);
  expect(await (await post('/v1/feedback', { id: 'r1', reward: 2 })).json()).toEqual({
    ...by,
    replaced: true,
  });
  expect(parts.serving.rewards.get('r1')).toBe(2);
});

it.each([
  ['/v1/completions', { prompt: 'abc' }],
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 'abc' }] }],
])('the id of an answer of %s is taken as it is there, also of a stream', async (path, body) => {
  const { post, parts } = start();
  const answer = await post(path, { model: 'sql', ...body });
  const { id } = (await answer.json()) as { id: string };
  expect(id.endsWith(`-${answer.headers.get('x-adaptlet-request-id')}`)).toBe(true);
  expect((await post('/v1/feedback', { id, reward: 1 })).status).toBe(200);
  const stream = await post(path, { model: 'sql', stream: true, ...body });
  await stream.text();
  const streamed = stream.headers.get('x-adaptlet-request-id');
  expect((await post('/v1/feedback', { id: streamed, reward: 1 })).status).toBe(200);
  expect([...parts.serving.rewards.keys()]).toEqual(['r1', 'r2']);
});

it('answers of encoders have their id in a header', async () => {
  const { post } = start();
  const embedded = await post('/v1/embeddings', { model: 'sql', input: 'a' });
  const classified = await post('/v1/classify', { model: 'upper', input: 'a' });
  expect([embedded, classified].map(({ headers }) => headers.get('x-adaptlet-request-id'))).toEqual([
    'e1',
    'e2',
  ]);
});

it.each<[string, unknown, number, string]>([
  ['an unknown answer', { id: 'cmpl-nobody', reward: 1 }, 404, 'feedback_unknown'],
  ['no reward', { id: 'r1' }, 400, 'request_invalid'],
  ['a reward that is no number', { id: 'r1', reward: '1' }, 400, 'request_invalid'],
  ['a reward that overflows', '{"id": "r1", "reward": 1e999}', 400, 'request_invalid'],
  ['a reward that is too large', { id: 'r1', reward: -1e7 }, 400, 'request_invalid'],
  ['an id that is no text', { id: 7, reward: 1 }, 400, 'request_invalid'],
  ['a body that is no JSON', '{', 400, 'request_invalid'],
])('feedback with %s is refused', async (_, body, status, code) => {
  const { post, parts } = start();
  const response = await post('/v1/feedback', body);
  expect(response.status).toBe(status);
  expect(await response.json()).toHaveProperty('error.code', code);
  expect(parts.serving.rewards.size).toBe(0);
});

it('a list is taken item by item, and what is wrong with one is said in its place', async () => {
  const { post, parts } = start();
  const response = await post('/v1/feedback', [
    { id: 'chatcmpl-r1', reward: 1 },
    { id: 'nobody', reward: 1 },
    { id: 'r2', reward: 'good' },
    7,
    { id: 'r1', reward: 0 },
  ]);
  expect(response.status).toBe(200);
  const by = { object: 'feedback', rollout: 'sql', arm: 'canary', digest: fakeDigest('a') };
  expect(await response.json()).toEqual({
    object: 'list',
    data: [
      { ...by, id: 'r1', replaced: false },
      { object: 'feedback', id: 'nobody', error: expect.objectContaining({ code: 'feedback_unknown' }) },
      {
        object: 'feedback',
        id: 'r2',
        error: expect.objectContaining({ code: 'request_invalid', param: 'reward' }),
      },
      { object: 'feedback', id: null, error: expect.objectContaining({ code: 'request_invalid' }) },
      { ...by, id: 'r1', replaced: true },
    ],
  });
  expect([...parts.serving.rewards]).toEqual([['r1', 0]]);
});

it('an empty list has no answers, and one that is too long takes in nothing', async () => {
  const { post, parts } = start();
  expect(await (await post('/v1/feedback', [])).json()).toEqual({ object: 'list', data: [] });
  const items = Array.from({ length: maxBatch + 1 }, () => ({ id: 'r1', reward: 1 }));
  const response = await post('/v1/feedback', items);
  expect([response.status, await response.json()]).toEqual([
    400,
    { error: expect.objectContaining({ message: expect.stringContaining(`at most ${maxBatch}`) }) },
  ]);
  expect(parts.serving.rewards.size).toBe(0);
});
