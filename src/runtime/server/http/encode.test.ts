import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../testing/fake-serving.ts';
import { fakeParts } from '../testing/parts.ts';
import { createHttpApp } from './app.ts';

const start = () => {
  const parts = fakeParts();
  const app = createHttpApp(parts);
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    app.request(path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });
  return { parts, post };
};

describe('embeddings', () => {
  it("an answer has OpenAI's shape and tells what served", async () => {
    const { post, parts } = start();
    const response = await post('/v1/embeddings', { model: 'sql', input: ['abc', 'd'], user: 'anna' });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: 'list',
      model: 'sql',
      system_fingerprint: fakeDigest('a'),
      data: [
        { object: 'embedding', index: 0, embedding: [3, 0.5] },
        { object: 'embedding', index: 1, embedding: [1, 0.5] },
      ],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    });
    expect(response.headers.get('x-adaptlet-adapter')).toBe('upper');
    expect(response.headers.get('x-adaptlet-digest')).toBe(fakeDigest('a'));
    expect(response.headers.get('x-adaptlet-arm')).toBe('stable');
    expect(parts.serving.encoded[0]).toMatchObject({
      context: { user: 'anna', namespace: 'default' },
      request: { output: 'embedding' },
    });
    expect(await parts.telemetry.metricsText()).toContain('code="OK"} 1');
  });

  it.each([
    ['a string', 'abc', [{ kind: 'text', text: 'abc' }]],
    [
      'a list of strings',
      ['a', 'b'],
      [
        { kind: 'text', text: 'a' },
        { kind: 'text', text: 'b' },
      ],
    ],
    ['token ids', [97, 98], [{ kind: 'ids', ids: [97, 98] }]],
    [
      'lists of token ids',
      [[97], [98]],
      [
        { kind: 'ids', ids: [97] },
        { kind: 'ids', ids: [98] },
      ],
    ],
  ])('the input may be %s', async (_, input, texts) => {
    const { parts, post } = start();
    expect((await post('/v1/embeddings', { model: 'sql', input })).status).toBe(200);
    expect(parts.serving.encoded[0]?.request.texts).toEqual(texts);
  });

  it('base64 is the float32 numbers, little-endian', async () => {
    const { post } = start();
    const body = { model: 'sql', input: 'abc', encoding_format: 'base64' };
    const answer = (await (await post('/v1/embeddings', body)).json()) as { data: { embedding: string }[] };
    const bytes = Buffer.from(answer.data[0]?.embedding ?? '', 'base64');
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length]).toEqual([3, 0.5, 8]);
  });

  it.each<[string, object, string | null, RegExp]>([
    ['dimensions', { dimensions: 64 }, 'dimensions', /dimensions is not supported/],
    ['an unknown format', { encoding_format: 'int8' }, 'encoding_format', /encoding_format/],
    ['no input', { input: undefined }, 'input', /must be a string, a list of strings/],
    ['an empty list', { input: [] }, null, /the input is empty/],
    ['no tokens', { input: [[1], []] }, null, /input 1 is empty/],
    ['a token that is none', { input: [[70_000]] }, null, /token id 70000 is not in the vocabulary/],
    ['too many texts', { input: Array.from({ length: 2049 }, () => 'a') }, null, /2049 texts, at most 2048/],
  ])('%s is 400 and names what is wrong', async (_, over, param, message) => {
    const { post } = start();
    const response = await post('/v1/embeddings', { model: 'sql', input: 'abc', ...over });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { param: string | null; message: string } };
    expect(error.param).toBe(param);
    expect(error.message).toMatch(message);
  });

  it('an adapter that cannot serve is said so, with when to try again', async () => {
    const { post } = start();
    const response = await post('/v1/embeddings', { model: 'broken', input: 'abc' });
    expect(response.status).toBe(503);
    expect(response.headers.get('x-adaptlet-error')).toBe('ADAPTER_NOT_AVAILABLE');
    expect(response.headers.get('retry-after')).toBe('2');
  });
});

describe('classification', () => {
  it("an answer has vLLM's shape, the logits as well, and tells what served", async () => {
    const { post, parts } = start();
    const response = await post('/v1/classify', { model: 'upper', input: ['abc', 'abcdef'] });
    expect(await response.json()).toEqual({
      id: 'classify-e1',
      object: 'list',
      created: expect.any(Number),
      model: 'upper',
      system_fingerprint: fakeDigest('a'),
      data: [
        { index: 0, label: 'short', probs: [0.75, 0.25], num_classes: 2, logits: [0, 3] },
        { index: 1, label: 'long', probs: [0.25, 0.75], num_classes: 2, logits: [0, 6] },
      ],
      usage: { prompt_tokens: 9, total_tokens: 9 },
    });
    expect(response.headers.get('x-adaptlet-adapter')).toBe('upper');
    expect(parts.serving.encoded[0]?.request.output).toBe('classification');
  });

  it('what has no head is 400 by a code of its own', async () => {
    const { post } = start();
    const response = await post('/v1/classify', { model: 'tiny', input: 'abc' });
    expect(response.status).toBe(400);
    expect(await response.json()).toHaveProperty('error.code', 'classifier_missing');
  });
});
