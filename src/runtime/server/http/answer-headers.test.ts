import { expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { startFakeHttp as start } from '../testing/http-app.ts';

const requests: readonly (readonly [string, object])[] = [
  ['/v1/completions', { model: 'sql', prompt: 'a' }],
  ['/v1/completions', { model: 'sql', prompt: 'a', stream: true }],
  ['/v1/chat/completions', { model: 'sql', messages: [{ role: 'user', content: 'a' }] }],
  ['/v1/responses', { model: 'sql', input: 'a' }],
  ['/v1/responses', { model: 'sql', input: 'a', stream: true }],
  ['/v1/embeddings', { model: 'tiny', input: 'a' }],
];

const ask = async (path: string, body: object, id?: string) => {
  const { parts, post } = start();
  if (path === '/v1/embeddings') parts.serving.base = { ...parts.serving.base, task: 'embed' };
  return await post(path, body, id === undefined ? {} : { headers: { 'x-request-id': id } });
};

it.each(requests)('an answer has the id that its request came with: %s %j', async (path, body) => {
  const response = await ask(path, body, 'req_7f-3.a:b');
  expect([response.status, response.headers.get('x-request-id')]).toEqual([200, 'req_7f-3.a:b']);
  expect(response.headers.get('x-adaptlet-request-id')).toMatch(/^[re]1$/);
});

it.each(requests)('an answer to a request without an id has its own: %s %j', async (path, body) => {
  const { headers } = await ask(path, body);
  expect(headers.get('x-request-id')).toBe(headers.get('x-adaptlet-request-id'));
});

it.each(['a b', 'naïve', 'x'.repeat(129), 'a, b'])(
  'an id that cannot be told as it is is not: %s',
  async (id) => {
    const { headers } = await ask('/v1/completions', { model: 'sql', prompt: 'a' }, id);
    expect(headers.get('x-request-id')).toBe('r1');
  },
);

it('a request that fails has its id as well, and lines of logs name it', async () => {
  const lines: object[] = [];
  const note = (keys: object): void => void lines.push(keys);
  const { parts, post } = start({ log: { debug: note, info: note, warn: note, error: note } });
  parts.serving.failure = { error: new AdaptletError('QUEUE_FULL', 'full') };
  const body = { model: 'sql', prompt: 'a' };
  const refused = await post('/v1/completions', body, { headers: { 'x-request-id': 'req-1' } });
  expect([refused.status, refused.headers.get('x-request-id')]).toEqual([429, 'req-1']);
  expect(lines).toContainEqual(expect.objectContaining({ callersId: 'req-1', code: 'QUEUE_FULL' }));
  expect((await post('/v1/completions', body)).headers.get('x-request-id')).toBeNull();
});

it.each([
  ['GET', '/v1/models', 200],
  ['GET', '/v1/models/nothing', 404],
  ['GET', '/nowhere', 404],
  ['GET', '/v2/nowhere', 404],
  ['GET', '/v2/models/nothing', 404],
  ['POST', '/v1/feedback', 400],
])(
  'what is not answered by an adapter has the id of its request as well: %s %s',
  async (method, path, status) => {
    const headers = { 'x-request-id': 'req-1', 'content-type': 'application/json' };
    const response = await start().app.request(path, { method, headers });
    expect([response.status, response.headers.get('x-request-id')]).toEqual([status, 'req-1']);
  },
);
