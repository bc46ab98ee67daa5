import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { dataLines, startFakeHttp as start } from '../testing/http-app.ts';
import { maxBodyBytes } from './body.ts';

describe('completions', () => {
  it("an answer has OpenAI's shape and tells what served", async () => {
    const { post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: 'abc' });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: 'cmpl-r1',
      object: 'text_completion',
      created: expect.any(Number),
      model: 'sql',
      system_fingerprint: fakeDigest('a'),
      choices: [{ index: 0, text: 'ABC', logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
    expect(response.headers.get('x-adaptlet-adapter')).toBe('upper');
    expect(response.headers.get('x-adaptlet-digest')).toBe(fakeDigest('a'));
    expect(response.headers.get('x-adaptlet-rollout')).toBe('sql');
    expect(response.headers.get('x-adaptlet-arm')).toBe('stable');
  });

  it('a base answer carries no adapter name', async () => {
    const { post } = start();
    const { headers } = await post('/v1/completions', { model: 'tiny', prompt: 'abc' });
    expect(headers.has('x-adaptlet-adapter')).toBe(false);
    expect(headers.get('x-adaptlet-arm')).toBe('base');
  });

  it.each([
    ['a string', 'abc', { kind: 'text', text: 'abc' }],
    ['a list of one string', ['abc'], { kind: 'text', text: 'abc' }],
    ['token ids', [97, 98], { kind: 'ids', ids: [97, 98] }],
    ['a list of one list of token ids', [[97, 98]], { kind: 'ids', ids: [97, 98] }],
  ])('the prompt may be %s', async (_, prompt, expected) => {
    const { parts, post } = start();
    expect((await post('/v1/completions', { model: 'sql', prompt })).status).toBe(200);
    expect(parts.serving.calls[0]?.request.prompt).toEqual(expected);
  });

  it("options reach the generation; without them OpenAI's defaults hold", async () => {
    const { parts, post } = start();
    await post('/v1/completions', { model: 'sql', prompt: 'abc' });
    await post(
      '/v1/completions',
      {
        model: 'sql',
        prompt: 'a',
        max_tokens: 5,
        temperature: 0,
        top_p: 0.5,
        top_k: 3,
        seed: 4,
        stop: 'x',
        user: 'anna',
      },
      {
        headers: { 'x-adaptlet-session': 's1', 'x-adaptlet-priority': '12', 'x-department': 'medical' },
      },
    );
    const [plain, full] = parts.serving.calls;
    expect(plain?.request).toMatchObject({
      maxTokens: 16,
      sampling: { temperature: 1, topP: 1, topK: 0 },
      stop: [],
    });
    expect(full?.request).toMatchObject({
      maxTokens: 5,
      sampling: { temperature: 0, topP: 0.5, topK: 3, seed: 4 },
      stop: ['x'],
    });
    expect(plain?.context).not.toHaveProperty('priority');
    expect(full?.context).toMatchObject({ user: 'anna', session: 's1', namespace: 'default', priority: 12 });
    expect(full?.context.headers.get('x-department')).toBe('medical');
  });

  it('a priority that is none is refused', async () => {
    const { parts, post } = start();
    const headers = { 'x-adaptlet-priority': '1.5' };
    const response = await post('/v1/completions', { model: 'sql', prompt: 'a' }, { headers });
    expect(response.status).toBe(400);
    expect(await response.json()).toHaveProperty(
      'error.message',
      expect.stringContaining('x-adaptlet-priority'),
    );
    expect(parts.serving.calls).toEqual([]);
  });

  it('a stream has one chunk a token, then the end', async () => {
    const { post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: 'ab', stream: true });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(response.headers.get('x-adaptlet-adapter')).toBe('upper');
    const lines = dataLines(await response.text());
    expect(lines).toMatchObject([
      { id: 'cmpl-r1', choices: [{ text: 'A', finish_reason: null }] },
      { choices: [{ text: 'B', finish_reason: null }] },
      { choices: [{ text: '', finish_reason: 'stop' }] },
      '[DONE]',
    ]);
  });
});

describe('chat completions', () => {
  const messages = [
    { role: 'developer', content: 'be brief' },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    },
  ];

  it("an answer has OpenAI's shape; text parts are joined and developer is system", async () => {
    const { parts, post } = start();
    const body = {
      model: 'sql',
      messages,
      max_tokens: 3,
      max_completion_tokens: 6,
      store: true,
      metadata: { a: 'b' },
    };
    const response = await post('/v1/chat/completions', body);
    expect(await response.json()).toMatchObject({
      id: 'chatcmpl-r1',
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'SYSTEM' }, finish_reason: 'length' }],
    });
    expect(parts.serving.calls[0]?.request).toMatchObject({
      maxTokens: 6,
      prompt: {
        messages: [
          { role: 'system', content: 'be brief' },
          { role: 'user', content: 'ab' },
        ],
      },
    });
  });

  it('a stream opens with the role and closes with the usage that was asked for', async () => {
    const { post } = start();
    const body = {
      model: 'sql',
      messages,
      max_tokens: 2,
      stream: true,
      stream_options: { include_usage: true },
    };
    const lines = dataLines(await (await post('/v1/chat/completions', body)).text());
    expect(lines).toMatchObject([
      {
        object: 'chat.completion.chunk',
        choices: [{ delta: { role: 'assistant', content: '' } }],
        usage: null,
      },
      { choices: [{ delta: { content: 'S' } }], usage: null },
      { choices: [{ delta: { content: 'Y' } }], usage: null },
      { choices: [{ delta: {}, finish_reason: 'length' }], usage: null },
      { choices: [], usage: { completion_tokens: 2, total_tokens: expect.any(Number) } },
      '[DONE]',
    ]);
  });

  it('a failure in the middle of a stream is its last event, without [DONE]', async () => {
    const { parts, post } = start();
    parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 1 };
    const lines = dataLines(
      await (await post('/v1/chat/completions', { model: 'sql', messages, stream: true })).text(),
    );
    expect(lines).toHaveLength(3);
    expect(lines[2]).toMatchObject({ error: { type: 'server_error', code: 'engine_down' } });
    expect(await parts.telemetry.metricsText()).toContain('code="ENGINE_DOWN"} 1');
  });
});

describe('refusals', () => {
  const chat = { model: 'sql', messages: [{ role: 'user', content: 'x' }] };
  const text = { model: 'sql', prompt: 'x' };

  it.each<[string, string, object, string, RegExp]>([
    ['/v1/completions', 'n that is no number', { ...text, n: '2' }, 'n', /number/],
    ['/v1/completions', 'best_of', { ...text, best_of: 3 }, 'best_of', /not supported/],
    ['/v1/chat/completions', 'echo', { ...chat, echo: true }, 'echo', /not supported/],
    ['/v1/completions', 'suffix', { ...text, suffix: 'y' }, 'suffix', /not supported/],
    ['/v1/completions', 'logprobs that are no number', { ...text, logprobs: true }, 'logprobs', /a number/],
    [
      '/v1/completions',
      'prompt_logprobs',
      { ...text, prompt_logprobs: 1 },
      'prompt_logprobs',
      /not supported/,
    ],
    ['/v1/chat/completions', 'a number of logprobs', { ...chat, logprobs: 3 }, 'logprobs', /boolean/],
    [
      '/v1/chat/completions',
      'top_logprobs alone',
      { ...chat, top_logprobs: 3 },
      'top_logprobs',
      /needs logprobs: true/,
    ],
    ['/v1/chat/completions', 'a bias by text', { ...chat, logit_bias: { 1: 'x' } }, 'logit_bias.1', /number/],
    [
      '/v1/chat/completions',
      'a structural tag',
      { ...chat, structured_outputs: { structural_tag: '{}' } },
      'structured_outputs.structural_tag',
      /not supported/,
    ],
    ['/v1/chat/completions', 'ignore_eos as text', { ...chat, ignore_eos: 'yes' }, 'ignore_eos', /boolean/],
    ['/v1/completions', 'a bad word that is none', { ...text, bad_words: ['a', 1] }, 'bad_words.1', /string/],
    ['/v1/completions', 'a text beside token ids', { model: 'sql', prompt: ['a', 1] }, 'prompt', /a string/],
    ['/v1/completions', 'no model', { prompt: 'a' }, 'model', /model/],
    [
      '/v1/chat/completions',
      'an image',
      { model: 'sql', messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'messages.0.content.0.type',
      /must be text: prompts are text/,
    ],
    [
      '/v1/chat/completions',
      'a role that there is not',
      { model: 'sql', messages: [{ role: 'function', content: 'x' }] },
      'messages.0.role',
      /role/,
    ],
  ])('%s with %s is 400 and names the field', async (path, _, body, param, message) => {
    const { post } = start();
    const response = await post(path, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: expect.stringMatching(message),
        type: 'invalid_request_error',
        param,
        code: expect.any(String),
      },
    });
  });

  it('fields that change nothing are accepted: neutral values, null, and unknown ones', async () => {
    const { post } = start();
    const neutral = {
      n: 1,
      logprobs: false,
      tools: [],
      tool_choice: 'none',
      presence_penalty: 0,
      response_format: { type: 'text' },
    };
    const response = await post('/v1/chat/completions', {
      ...chat,
      ...neutral,
      stop: null,
      seed: null,
      service_tier: 'auto',
    });
    expect(response.status).toBe(200);
  });

  it.each([
    ['a value out of range', { ...text, temperature: 3 }, /temperature is 3/],
    ['a body that is not JSON', '{"model":', /not JSON/],
    ['a body that is a list', [], /body/],
  ])('%s is 400', async (_, body, message) => {
    const { post } = start();
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(400);
    expect(await response.json()).toHaveProperty('error.message', expect.stringMatching(message));
  });

  it('a body of another type is refused: a web page could send it without asking', async () => {
    const { post } = start();
    const response = await post('/v1/completions', text, { headers: { 'content-type': 'text/plain' } });
    expect(response.status).toBe(400);
  });

  it('a body over the limit is 413', async () => {
    const { post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: 'x'.repeat(maxBodyBytes) });
    expect(response.status).toBe(413);
    expect(await response.json()).toHaveProperty('error.code', 'request_too_large');
  });

  it.each([
    ['an unknown model', { model: 'nope', prompt: 'x' }, 404, 'model_not_found', null],
    ['a model that is not available', { model: 'broken', prompt: 'x' }, 503, 'adapter_not_available', '2'],
  ])('%s has its status, its code and when to retry', async (_, body, status, code, retryAfter) => {
    const { post } = start();
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(status);
    expect(response.headers.get('retry-after')).toBe(retryAfter);
    expect(response.headers.get('x-adaptlet-error')).toBe(code.toUpperCase());
    expect(await response.json()).toHaveProperty('error.code', code);
  });

  it("an unknown path is 404 in OpenAI's shape", async () => {
    const { app } = start();
    const response = await app.request('/v1/nothing');
    expect(response.status).toBe(404);
    expect(await response.json()).toHaveProperty('error.code', 'not_found');
  });
});

describe('clients that leave or stall', () => {
  it('a client that disconnects before the answer ends the generation', async () => {
    const { parts, post } = start();
    const client = new AbortController();
    parts.serving.gate = async () => client.abort();
    await post('/v1/completions', { model: 'sql', prompt: 'abc' }, { signal: client.signal });
    expect(parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
    await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
  });

  it('a client that leaves a stream ends the generation', async () => {
    const { parts, post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: 'abc', stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
    await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
  });

  it('a stream makes tokens only as they are taken, and ends when nobody takes them', async () => {
    const clock = new FakeClock();
    const { parts, post } = start({ clock, slowClientMs: 1000 });
    let made = 0;
    parts.serving.gate = async () => void made++;
    const response = await post('/v1/completions', { model: 'sql', prompt: 'abcdef', stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await setImmediate();
    expect(made).toBe(1);
    clock.advance(1001);
    await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
    expect(parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
    expect(await parts.telemetry.metricsText()).toContain('code="CLIENT_TOO_SLOW"} 1');
  });

  it('a deadline that passes is 504', async () => {
    const clock = new FakeClock();
    const { parts, post } = start({ clock, timeouts: { firstTokenMs: 100, tokenMs: 0, requestMs: 0 } });
    parts.serving.gate = async () => clock.advance(101);
    expect((await post('/v1/completions', { model: 'sql', prompt: 'abc' })).status).toBe(504);
  });
});

describe('models, probes and metrics', () => {
  it('models are listed with their state, and found by names with slashes', async () => {
    const { parts, app } = start();
    const list: unknown = await (await app.request('/v1/models')).json();
    expect(list).toMatchObject({ object: 'list' });
    expect(list).toHaveProperty(
      'data.3',
      expect.objectContaining({ id: 'broken', ready: false, parent: 'tiny' }),
    );
    const [card] = parts.serving.cards;
    if (card !== undefined) parts.serving.cards = [{ ...card, id: 'team-a/sql' }];
    const one = await app.request('/v1/models/team-a/sql');
    expect(await one.json()).toMatchObject({
      id: 'team-a/sql',
      object: 'model',
      owned_by: 'adaptlet',
      created: 1767225600,
    });
    expect((await app.request('/v1/models/nope')).status).toBe(404);
  });

  it('probes tell liveness, and readiness with its reason', async () => {
    const { parts, app } = start();
    expect((await app.request('/livez')).status).toBe(200);
    expect((await app.request('/readyz')).status).toBe(200);
    parts.serving.readiness = { ok: false, reason: 'the engine is starting' };
    const response = await app.request('/readyz');
    expect(response.status).toBe(503);
    expect(await response.text()).toBe('the engine is starting\n');
    expect((await app.request('/livez')).status).toBe(200);
  });

  it("metrics are in Prometheus' text format", async () => {
    const { app } = start();
    const response = await app.request('/metrics');
    expect(response.headers.get('content-type')).toContain('version=0.0.4');
    expect(await response.text()).toContain('adaptlet_ready 1');
  });
});
