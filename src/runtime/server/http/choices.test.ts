import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { callId } from '../chat/answer-reader.ts';
import { dataLines, startFakeHttp as start } from '../testing/http-app.ts';
import { type Chunk as ChatChunk, putTogether } from '../testing/put-together.ts';

const text = { model: 'sql', prompt: 'ab', n: 3 };
const chat = { model: 'upper', messages: [{ role: 'user', content: 'x' }], n: 2, max_tokens: 2 };

it('several answers are asked for at once, and are told in their order; the prompt counts once', async () => {
  const { parts, post } = start();
  const response = await post('/v1/completions', text);
  expect(await response.json()).toMatchObject({
    choices: [0, 1, 2].map((index) => ({ index, text: 'AB', finish_reason: 'stop' })),
    usage: { prompt_tokens: 2, completion_tokens: 6, total_tokens: 8 },
  });
  expect(parts.serving.calls).toHaveLength(1);
  expect(parts.serving.calls[0]?.request).toHaveProperty('choices', 3);
  expect(await parts.telemetry.metricsText()).toContain('protocol="http",code="OK"} 1');
});

it('each answer of a chat has a message and log probabilities of its own', async () => {
  const { post } = start();
  const body: unknown = await (await post('/v1/chat/completions', { ...chat, logprobs: true })).json();
  const choice = (index: number) => ({
    index,
    message: { role: 'assistant', content: 'US' },
    logprobs: { content: [{ token: 'U' }, { token: 'S' }] },
    finish_reason: 'length',
  });
  expect(body).toMatchObject({ choices: [choice(0), choice(1)] });
});

it('a stream tells of each chunk which answer it is of, and ends after the last end', async () => {
  const { post } = start();
  const asked = { ...chat, stream: true, stream_options: { include_usage: true } };
  const lines = dataLines(await (await post('/v1/chat/completions', asked)).text());
  expect(lines.at(-1)).toBe('[DONE]');
  expect(lines.at(-2)).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
  type Chunk = { choices: { index: number; delta: { content?: string }; finish_reason: string | null }[] };
  const chunks = (lines.slice(0, -2) as Chunk[]).flatMap(({ choices }) => choices);
  for (const index of [0, 1]) {
    const own = chunks.filter((one) => one.index === index);
    expect(own.map(({ delta }) => delta.content ?? '').join('')).toBe('US');
    expect(own.map(({ finish_reason }) => finish_reason)).toEqual([null, null, null, 'length']);
  }
});

it('where the text of each answer begins is told from its own beginning', async () => {
  const { post } = start();
  const lines = dataLines(
    await (await post('/v1/completions', { ...text, logprobs: 0, stream: true })).text(),
  );
  type Chunk = { choices: { index: number; logprobs: { text_offset: number[] } | null }[] };
  const chunks = (lines.slice(0, -1) as Chunk[]).flatMap(({ choices }) => choices);
  for (const index of [0, 1, 2]) {
    const own = chunks.filter((one) => one.index === index);
    expect(own.flatMap(({ logprobs }) => logprobs?.text_offset ?? [])).toEqual([0, 1]);
  }
});

describe('a list of prompts', () => {
  const three = ['a', 'bc', 'def'];

  it('is one request whose answers come in the order of the prompts, those to one prompt beside each other', async () => {
    const { parts, post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: three, n: 2, seed: 7 });
    expect(await response.json()).toMatchObject({
      choices: ['A', 'A', 'BC', 'BC', 'DEF', 'DEF'].map((said, index) => ({ index, text: said })),
      usage: { prompt_tokens: 6, completion_tokens: 12, total_tokens: 18 },
    });
    expect(parts.serving.calls).toHaveLength(1);
    expect(await parts.telemetry.metricsText()).toContain('protocol="http",code="OK"} 1');
  });

  it.each([
    ['of token ids is one prompt', [97, 98], ['AB']],
    ['of lists of token ids is one of prompts', [[97], [98, 99]], ['A', 'BC']],
    ['may have one', ['ab'], ['AB']],
  ])('%s', async (_, prompt, texts) => {
    const response = await start().post('/v1/completions', { model: 'sql', prompt });
    expect(await response.json()).toMatchObject({
      choices: texts.map((said, index) => ({ index, text: said })),
    });
  });

  it('is told in a stream by the index of each chunk, with the usage of all', async () => {
    const asked = { model: 'sql', prompt: three, stream: true, stream_options: { include_usage: true } };
    const lines = dataLines(await (await start().post('/v1/completions', asked)).text());
    expect(lines.at(-2)).toMatchObject({ choices: [], usage: { prompt_tokens: 6, completion_tokens: 6 } });
    type Chunk = { choices: { index: number; text: string; finish_reason: string | null }[] };
    const chunks = (lines.slice(0, -2) as Chunk[]).flatMap(({ choices }) => choices);
    for (const [index, prompt] of three.entries()) {
      const own = chunks.filter((one) => one.index === index);
      expect(own.map((one) => one.text).join('')).toBe(prompt.toUpperCase());
      expect(own.at(-1)?.finish_reason).toBe('stop');
    }
  });

  it('of which one fails is one request that failed', async () => {
    const { parts, post } = start();
    parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 2 };
    expect((await post('/v1/completions', { model: 'sql', prompt: three })).status).toBe(503);
  });

  it.each<[string, unknown, RegExp, (string | null)?]>([
    ['of none', [], /^the prompt is empty/],
    ['with an empty one', ['a', ''], /^the prompt is empty \(prompt\.1\)/, 'prompt.1'],
    ['with an empty one first', ['', 'a'], /^the prompt is empty \(prompt\.0\)/, 'prompt.0'],
    ['with one without tokens', [[1], [2], []], /^the prompt is empty \(prompt\.2\)/, 'prompt.2'],
    [
      'with a token that there is none of',
      [[1], [70_000]],
      /^token id 70000 is not.* \(prompt\.1\)/,
      'prompt.1',
    ],
    ['that is too long', Array(129).fill('a'), /^prompt is a list of 129 prompts, at most 128 answers/],
    ['of prompts and token ids', ['a', 1], /^prompt must be a string, a list of token ids/, 'prompt'],
    ['of lists of texts', [['a']], /^prompt must be a string, a list of token ids/, 'prompt'],
  ])('%s is refused', async (_, prompt, message, param = null) => {
    const { parts, post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringMatching(message), param },
    });
    expect(parts.serving.calls).toEqual([]);
  });

  it('has as many answers at most as the largest list without n', async () => {
    const { post } = start();
    const ask = (count: number) =>
      post('/v1/completions', { model: 'sql', prompt: Array(count).fill('a'), n: 16 });
    expect((await ask(8)).status).toBe(200);
    expect(await (await ask(9)).json()).toHaveProperty(
      'error.message',
      expect.stringContaining('9 prompts with n 16'),
    );
  });
});

describe('with tools', () => {
  const says = '<think>Oslo?</think><tool_call>{"name": "f", "arguments": {}}</tool_call>';
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const asked = { model: 'tiny', messages: [{ role: 'user', content: 'x' }], tools, n: 2 };
  const ids = [callId('r1', 0), callId('r1/1', 0)];
  const startWithTools = () => {
    const started = start();
    const { serving } = started.parts;
    serving.says = [says];
    serving.base = { ...serving.base, chat: { calls: 'hermes', parallel: true, thinks: true } };
    return started;
  };

  it('each answer has thoughts and calls of its own, whole', async () => {
    const response = await startWithTools().post('/v1/chat/completions', asked);
    expect(await response.json()).toMatchObject({
      choices: ids.map((id, index) => ({
        index,
        message: { content: null, reasoning_content: 'Oslo?', tool_calls: [{ id, function: { name: 'f' } }] },
        finish_reason: 'tool_calls',
      })),
    });
  });

  it('each answer has thoughts and calls of its own, streamed', async () => {
    const response = await startWithTools().post('/v1/chat/completions', { ...asked, stream: true });
    const chunks = dataLines(await response.text()).slice(0, -1) as ChatChunk[];
    for (const [index, id] of ids.entries())
      expect(putTogether(chunks, index)).toMatchObject({
        message: {
          content: null,
          reasoning_content: 'Oslo?',
          tool_calls: [{ id, function: { name: 'f', arguments: '{}' } }],
        },
        finish_reason: 'tool_calls',
      });
  });
});

it('one that fails in the middle fails all of them', async () => {
  const { parts, post } = start();
  parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 1 };
  expect((await post('/v1/completions', text)).status).toBe(503);
});

it('a stream that one of them fails ends with its error, once', async () => {
  const { parts, post } = start();
  parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 1 };
  const lines = dataLines(await (await post('/v1/completions', { ...text, stream: true })).text());
  expect(lines.filter((line) => typeof line === 'object' && line !== null && 'error' in line)).toHaveLength(
    1,
  );
  expect(lines.at(-1)).toHaveProperty('error.code', 'engine_down');
});

it('a client that leaves ends all of them', async () => {
  const { parts, post } = start();
  const reader = (await post('/v1/completions', { ...text, stream: true })).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  expect(parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
});

it.each([0, 17, 1.5])('%s answers are refused', async (n) => {
  const { parts, post } = start();
  const response = await post('/v1/completions', { ...text, n });
  expect(response.status).toBe(400);
  expect(await response.json()).toHaveProperty('error.message', expect.stringMatching(/^[^a-z]*n is /));
  expect(parts.serving.calls).toEqual([]);
});

it('the best of several is not picked', async () => {
  const { post } = start();
  const response = await post('/v1/completions', { ...text, best_of: 3 });
  expect(await response.json()).toMatchObject({ error: { param: 'best_of', code: 'request_unsupported' } });
});
