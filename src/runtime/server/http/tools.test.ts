import { describe, expect, it } from 'vitest';
import { callId } from '../chat/answer-reader.ts';
import { dataLines, startFakeHttp } from '../testing/http-app.ts';
import { type Chunk, putTogether } from '../testing/put-together.ts';
import { weather, weatherCall } from '../testing/weather.ts';

const body = {
  model: 'tiny',
  messages: [{ role: 'user', content: 'How warm is it?' }],
  tools: [{ type: 'function', function: weather }],
};
const written = weatherCall('Oslo');
const call = {
  id: callId('r1', 0),
  type: 'function',
  function: { name: 'get_weather', arguments: '{"city": "Oslo"}' },
};

const start = (...says: string[]) => {
  const started = startFakeHttp();
  const { serving } = started.parts;
  serving.says = says;
  serving.base = { ...serving.base, chat: { calls: 'hermes', parallel: true, thinks: true } };
  return started;
};

const whole = async (says: string, more: object = {}): Promise<unknown> => {
  const response = await start(says).post('/v1/chat/completions', { ...body, ...more });
  expect(response.status).toBe(200);
  return ((await response.json()) as { choices: unknown[] }).choices[0];
};

const streamed = async (says: string, more: object = {}): Promise<readonly Chunk[]> => {
  const asked = { ...body, ...more, stream: true };
  const response = await start(says).post('/v1/chat/completions', asked);
  expect(response.status).toBe(200);
  return dataLines(await response.text()).slice(1, -1) as Chunk[];
};

it('JSON that an answer is in place of calls comes as it was written, whole and streamed', async () => {
  const more = { response_format: { type: 'json_object' } };
  const json = '{"say": "<tool_call>\\n{\\"name\\": \\"get_weather\\"", "arguments": {}}';
  expect(await whole(json, more)).toMatchObject({ message: { content: json }, finish_reason: 'stop' });
  expect(putTogether(await streamed(json, more))).toMatchObject({ message: { content: json } });
  expect(await whole(written, more)).toMatchObject({ message: { content: null, tool_calls: [call] } });
});

describe('a call', () => {
  it('is told as OpenAI tells it', async () => {
    expect(await whole(written)).toEqual({
      index: 0,
      message: { role: 'assistant', content: null, refusal: null, tool_calls: [call] },
      logprobs: null,
      finish_reason: 'tool_calls',
    });
  });

  it('begins in a stream with its name, and goes on with what the model writes of its arguments', async () => {
    const pieces = Array.from(call.function.arguments, (text) => ({
      index: 0,
      function: { arguments: text },
    }));
    const begun = { index: 0, ...call, function: { name: 'get_weather', arguments: '' } };
    const deltas = (await streamed(written)).map(({ choices }) => choices[0]);
    expect(deltas.map((one) => one?.delta)).toEqual([
      ...[begun, ...pieces].map((one) => ({ tool_calls: [one] })),
      {},
    ]);
    expect(deltas.map((one) => one?.finish_reason)).toEqual([...pieces.map(() => null), null, 'tool_calls']);
  });

  it('stands beside text and thoughts', async () => {
    const says = `<think>\nOslo?\n</think>\n\nI look.\n${written}\n${written}`;
    expect(await whole(says)).toMatchObject({
      message: {
        content: 'I look.',
        reasoning_content: 'Oslo?',
        tool_calls: [call, { ...call, id: callId('r1', 1) }],
      },
      finish_reason: 'tool_calls',
    });
    expect(putTogether(await streamed(says))).toMatchObject({
      message: {
        content: 'I look.',
        reasoning_content: 'Oslo?',
        tool_calls: [call, { ...call, id: callId('r1', 1) }],
      },
      finish_reason: 'tool_calls',
    });
  });

  it.each([
    ['max_tokens', written, { max_tokens: 59 }, '{"city": "', 'length'],
    ['a stop string', written, { stop: '": "O' }, '{"city', 'stop'],
    ['the model', written.slice(0, 53), {}, '{"ci', 'stop'],
  ])(
    'that is cut by %s has the arguments so far, whole and streamed',
    async (_, says, more, text, finish) => {
      const cut = {
        message: {
          content: null,
          tool_calls: [{ ...call, function: { name: 'get_weather', arguments: text } }],
        },
        finish_reason: finish,
      };
      expect(await whole(says, more)).toMatchObject(cut);
      expect(putTogether(await streamed(says, more))).toMatchObject(cut);
    },
  );

  it('that is no JSON has all that the model wrote before the mark, whole and streamed', async () => {
    const says = `${written.replace('"Oslo"', "'Oslo'")}\nb`;
    const broken = {
      message: {
        content: '\nb',
        tool_calls: [{ ...call, function: { name: 'get_weather', arguments: `{"city": 'Oslo'}}\n` } }],
      },
      finish_reason: 'tool_calls',
    };
    expect(await whole(says)).toMatchObject(broken);
    expect(putTogether(await streamed(says))).toMatchObject(broken);
  });

  it.each([
    ['that is cut before its arguments', written.slice(0, 49), { max_tokens: 1000 }, 'stop'],
    ['that max_tokens cuts', written, { max_tokens: 40 }, 'length'],
    ['of no tool', written.replace('get_weather', 'other'), {}, 'stop'],
    ['that nobody may make', written, { tool_choice: 'none' }, 'stop'],
    ['without tools', written, { tools: [] }, 'stop'],
  ])('%s stays text', async (_, says, more, finish) => {
    const text = 'max_tokens' in more ? says.slice(0, more.max_tokens) : says;
    expect(await whole(says, more)).toMatchObject({
      message: { content: text },
      finish_reason: finish,
    });
    expect(await whole(says, more)).not.toHaveProperty('message.tool_calls');
    expect(putTogether(await streamed(says, more))).toMatchObject({
      message: { content: text },
      finish_reason: finish,
    });
  });

  it('of each of several answers has an id of its own', async () => {
    const response = await start(written).post('/v1/chat/completions', { ...body, n: 2 });
    const { choices } = (await response.json()) as { choices: { message: { tool_calls: unknown[] } }[] };
    const ids = ['r1', 'r1/1'].map((answer) => callId(answer, 0));
    expect(choices.map(({ message }) => message.tool_calls)).toEqual(ids.map((id) => [{ ...call, id }]));
    const chunks = await streamed(written, { n: 2 });
    for (const [choice, id] of ids.entries())
      expect(putTogether(chunks, choice).message.tool_calls).toEqual([{ ...call, id }]);
  });

  it('that has to come reaches the engine as a structure', async () => {
    const { post, parts } = start(written);
    const response = await post('/v1/chat/completions', { ...body, tool_choice: 'required' });
    expect(await response.json()).toMatchObject({
      choices: [{ message: { tool_calls: [call] }, finish_reason: 'tool_calls' }],
    });
    const [asked] = parts.serving.calls;
    expect(asked?.request.structure?.kind).toBe('calls');
    expect(asked?.request).not.toHaveProperty('marked');
  });

  it('and what its tool answers can be sent back', async () => {
    const { post, parts } = start(written, 'It is 3 degrees.');
    const ask = async (messages: readonly object[]) => {
      const response = await post('/v1/chat/completions', { ...body, messages });
      return ((await response.json()) as { choices: { message: object }[] }).choices[0]?.message ?? {};
    };
    const message = await ask(body.messages);
    const answer = { role: 'tool', tool_call_id: call.id, content: '3' };
    expect(await ask([...body.messages, message, answer])).toMatchObject({ content: 'It is 3 degrees.' });
    expect(parts.serving.calls[1]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', calls: [{ id: call.id, name: 'get_weather' }] },
        { role: 'tool', content: '3', answers: { id: call.id, name: 'get_weather' } },
      ],
    });
  });
});

it('log probabilities come with each token, also while a call may begin', async () => {
  const lines = await streamed(written, { logprobs: true });
  const scored = lines.flatMap(
    (line) =>
      (line as unknown as { choices: { logprobs: { content: object[] } | null }[] }).choices[0]?.logprobs
        ?.content ?? [],
  );
  expect(scored).toHaveLength(written.length);
});

it('an answer to a prompt has no calls and no thoughts', async () => {
  const text = `<think>a</think>${written}`;
  const response = await start(text).post('/v1/completions', { model: 'tiny', prompt: 'x', max_tokens: 200 });
  expect(await response.json()).toMatchObject({ choices: [{ text, finish_reason: 'stop' }] });
});

it('an effort that is not kept to is refused', async () => {
  const response = await start('a').post('/v1/chat/completions', { ...body, reasoning_effort: 'none' });
  expect(await response.json()).toMatchObject({
    error: { code: 'request_unsupported', param: 'reasoning_effort' },
  });
});
