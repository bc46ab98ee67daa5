import { describe, expect, it } from 'vitest';
import { callId } from '../chat/answer-reader.ts';
import { startFakeHttp } from '../testing/http-app.ts';
import { weather, weatherCall } from '../testing/weather.ts';

const tool = { type: 'function', ...weather, strict: true };
const body = { model: 'tiny', input: 'How warm is it?', tools: [tool] };

const start = (...says: string[]) => {
  const started = startFakeHttp();
  const { serving } = started.parts;
  serving.says = says;
  serving.base = { ...serving.base, chat: { calls: 'hermes', parallel: true, thinks: true } };
  return started;
};

type Whole = { readonly status: string; readonly output: readonly object[] };
type Event = Readonly<Record<string, unknown>> & { readonly type: string; readonly response?: Whole };

const whole = async (says: string, more: object = {}): Promise<Whole> => {
  const response = await start(says).post('/v1/responses', { ...body, ...more });
  expect(response.status).toBe(200);
  return (await response.json()) as Whole;
};

const streamed = async (says: string, more: object = {}): Promise<readonly Event[]> => {
  const response = await start(says).post('/v1/responses', { ...body, ...more, stream: true });
  expect(response.status).toBe(200);
  return (await response.text())
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => JSON.parse(line.slice('data: '.length)) as Event);
};

const messageItem = (id: string, text: string, more: object = {}) => ({
  id: `msg_${id}`,
  type: 'message',
  status: 'completed',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
  ...more,
});
const callItem = (id: string, index: number, city: string) => ({
  id: `fc_${id}`,
  type: 'function_call',
  status: 'completed',
  call_id: callId('r1', index),
  name: 'get_weather',
  arguments: `{"city": "${city}"}`,
});

const says = `<think>\nWhere?\n</think>\n\nI look.\n${weatherCall('Oslo')}\n${weatherCall('Rome')}`;
const output = [
  {
    id: 'rs_r1',
    type: 'reasoning',
    status: 'completed',
    summary: [],
    content: [{ type: 'reasoning_text', text: 'Where?' }],
  },
  messageItem('r1_1', 'I look.'),
  callItem('r1_2', 0, 'Oslo'),
  callItem('r1_3', 1, 'Rome'),
];

describe('the output of a response', () => {
  it('has thoughts, texts and calls in their order, and says again what may be called', async () => {
    const told = await whole(says, { tool_choice: 'auto', parallel_tool_calls: true });
    expect(told).toMatchObject({
      status: 'completed',
      tools: [tool],
      tool_choice: 'auto',
      parallel_tool_calls: true,
    });
    expect(told.output).toEqual(output);
  });

  it('is told by events, each of an item that began and is not at its end', async () => {
    const events = await streamed(says);
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, index) => index));
    const open = new Map<unknown, string>();
    const texts = new Map<string, string>();
    for (const event of events) {
      const { type, output_index: place, item, item_id, delta } = event;
      if (type === 'response.output_item.added') open.set(place, (item as { id: string }).id);
      else if (type === 'response.output_item.done') {
        expect((item as { id: string }).id).toBe(open.get(place));
        open.delete(place);
      } else if (place !== undefined) {
        expect(open.get(place)).toBe(item_id);
        if (typeof delta === 'string') texts.set(String(item_id), (texts.get(String(item_id)) ?? '') + delta);
      }
    }
    expect([...texts]).toEqual([
      ['rs_r1', 'Where?'],
      ['msg_r1_1', 'I look.'],
      ['fc_r1_2', '{"city": "Oslo"}'],
      ['fc_r1_3', '{"city": "Rome"}'],
    ]);
    expect(open.size).toBe(0);
    expect(events.at(-1)).toMatchObject({ type: 'response.completed', response: { output } });
  });

  it('has the events of a call that OpenAI has', async () => {
    const events = (await streamed(weatherCall('Oslo'))).slice(2, -1);
    const at = { item_id: 'fc_r1', output_index: 0 };
    const item = callItem('r1', 0, 'Oslo');
    expect(events).toMatchObject([
      {
        type: 'response.output_item.added',
        output_index: 0,
        item: { ...item, status: 'in_progress', arguments: '' },
      },
      ...Array.from(item.arguments, (delta) => ({
        type: 'response.function_call_arguments.delta',
        ...at,
        delta,
      })),
      {
        type: 'response.function_call_arguments.done',
        ...at,
        name: 'get_weather',
        arguments: item.arguments,
      },
      { type: 'response.output_item.done', output_index: 0, item },
    ]);
  });

  it('that is cut before the arguments of a call is its text, incomplete', async () => {
    const cut = weatherCall('Oslo').slice(0, 30);
    const told = await whole(weatherCall('Oslo'), { max_output_tokens: 30 });
    expect(told).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(told.output).toEqual([messageItem('r1', cut, { status: 'incomplete' })]);
  });

  it('that is cut within arguments has a call with these, incomplete', async () => {
    const item = { ...callItem('r1', 0, 'Oslo'), status: 'incomplete', arguments: '{"city": "' };
    const told = await whole(weatherCall('Oslo'), { max_output_tokens: 59 });
    expect(told).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(told.output).toEqual([item]);
    // What ends behind them is no part of the answer that was cut.
    const ended = await whole(weatherCall('Oslo'), { max_output_tokens: 70 });
    expect(ended).toMatchObject({ status: 'incomplete', output: [callItem('r1', 0, 'Oslo')] });
  });

  it('that is cut within a broken call without a mark has it, incomplete; else it is completed', async () => {
    const broken = '{"name": "get_weather", "parameters": {"city": Os lo';
    const { post, parts } = start(`${broken}\n`);
    parts.serving.base = { ...parts.serving.base, chat: { calls: 'llama', parallel: false, thinks: false } };
    for (const [most, status, end] of [
      [broken.length, 'incomplete', ''],
      [100, 'completed', '\n'],
    ] as const) {
      const response = await post('/v1/responses', { ...body, max_output_tokens: most });
      expect(await response.json()).toMatchObject({
        status,
        output: [{ type: 'function_call', status, arguments: `{"city": Os lo${end}` }],
      });
    }
  });

  it('may be sent back with a call that was cut', async () => {
    const { post, parts } = start(weatherCall('Oslo'), 'No.');
    const asked = { ...body, max_output_tokens: 59 };
    const first = (await (await post('/v1/responses', asked)).json()) as Whole;
    const answer = { type: 'function_call_output', call_id: callId('r1', 0), output: 'no JSON' };
    const input = [{ role: 'user', content: 'How warm is it?' }, ...first.output, answer];
    expect((await post('/v1/responses', { ...asked, input })).status).toBe(200);
    expect(parts.serving.calls[1]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', content: `${weatherCall('Oslo').slice(0, 59)}}\n</tool_call>` },
        { role: 'tool', content: 'no JSON', answers: { name: 'get_weather' } },
      ],
    });
  });

  it('says how many of its tokens came before the answer, whole and streamed', async () => {
    for (const [text, most, expected] of [
      ['<think>a</think>b', 100, '<think>a</think>'.length],
      ['<think>a</think>b', 10, 10],
      ['b', 100, 0],
      [weatherCall('Oslo'), 100, 0],
      [`<think>a</think>${weatherCall('Oslo')}`, 200, '<think>a</think>'.length],
    ] as const) {
      const usage = { output_tokens_details: { reasoning_tokens: expected } };
      expect(await whole(text, { max_output_tokens: most })).toMatchObject({ usage });
      const last = (await streamed(text, { max_output_tokens: most })).at(-1);
      expect(last).toMatchObject({ response: { usage } });
    }
  });

  it('without anything is an empty message', async () => {
    expect((await whole('\n', { tools: [] })).output).toEqual([messageItem('r1', '\n')]);
    expect((await whole('<think></think>')).output).toEqual([messageItem('r1', '')]);
  });

  it('has the log probabilities of its text, not those of thoughts and calls, whole and streamed alike', async () => {
    const asked = { include: ['message.output_text.logprobs'] };
    const told = await whole(`<think>a</think>b c${weatherCall('Oslo')} d`, asked);
    for (const [index, text] of [
      [1, 'b c'],
      [3, ' d'],
    ] as const) {
      const [part] = (told.output[index] as { content: { logprobs: { token: string }[] }[] }).content;
      expect(part?.logprobs.map(({ token }) => token).join('')).toBe(text);
    }
    const events = await streamed(`<think>a</think>b c${weatherCall('Oslo')} d`, asked);
    expect(events.at(-1)?.response?.output).toEqual(told.output);
  });
});

describe('thoughts as a summary, where one is asked for', () => {
  const asked = { reasoning: { summary: 'auto' } };
  const summary = [{ type: 'summary_text', text: 'Where?' }];

  it('stand there once, whole and streamed', async () => {
    const told = await whole(says, asked);
    expect(told).toMatchObject({ reasoning: { effort: null, summary: 'auto' } });
    expect(told.output).toEqual([
      { id: 'rs_r1', type: 'reasoning', status: 'completed', summary },
      ...output.slice(1),
    ]);
    const events = await streamed(says, asked);
    expect(events.at(-1)?.response?.output).toEqual(told.output);
    const own = events.filter(({ item_id: id }) => id === 'rs_r1');
    const place = { output_index: 0, summary_index: 0 };
    expect(own.map(({ type }) => type.replace('response.reasoning_summary_', ''))).toEqual([
      'part.added',
      ...Array<string>('Where?'.length).fill('text.delta'),
      'text.done',
      'part.done',
    ]);
    for (const event of own) expect(event).toMatchObject(place);
    expect(own.slice(1, -2).map(({ delta }) => delta)).toEqual('Where?'.split(''));
    expect(own.at(-2)).toMatchObject({ text: 'Where?' });
    expect(own.at(-1)).toMatchObject({ part: summary[0] });
  });

  it('can be sent back; beside content they say the same', async () => {
    const { post, parts } = start('x');
    const content = [{ type: 'reasoning_text', text: 'hm' }];
    for (const thought of [
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }] },
      { type: 'reasoning', summary, content },
    ]) {
      const input = [thought, { role: 'assistant', content: 'a' }, { role: 'user', content: 'b' }];
      expect((await post('/v1/responses', { ...body, input })).status).toBe(200);
      expect(parts.serving.calls.at(-1)?.request.prompt).toMatchObject({
        messages: [{ role: 'assistant', content: 'a', reasoning: 'hm' }, { role: 'user' }],
      });
    }
  });
});

describe('what a response asks for', () => {
  it('are variables of the chat template, and an effort, as in a chat', async () => {
    const { post, parts } = start('x');
    const { serving } = parts;
    const chat = { calls: 'hermes', parallel: true, thinks: true, effort: ['enable_thinking'] } as const;
    serving.base = { ...serving.base, chat };
    for (const more of [
      { reasoning: { effort: 'none' } },
      { chat_template_kwargs: { enable_thinking: false } },
    ]) {
      const told: unknown = await (await post('/v1/responses', { ...body, ...more })).json();
      expect(told).toMatchObject({ reasoning: { effort: 'reasoning' in more ? 'none' : null } });
      expect(serving.calls.at(-1)?.request.prompt).toMatchObject({ values: { enable_thinking: false } });
    }
  });

  it('is what a chat asks for', async () => {
    const { post, parts } = start(weatherCall('Oslo'));
    const chat = { model: 'tiny', messages: [{ role: 'user', content: 'How warm is it?' }] };
    for (const [choice, ofChat] of [
      [undefined, undefined],
      ['none', 'none'],
      ['required', 'required'],
      [
        { type: 'function', name: 'get_weather' },
        { type: 'function', function: { name: 'get_weather' } },
      ],
    ] as const) {
      await post('/v1/responses', { ...body, tool_choice: choice, parallel_tool_calls: false });
      await post('/v1/chat/completions', {
        ...chat,
        tools: [{ type: 'function', function: weather }],
        tool_choice: ofChat,
        parallel_tool_calls: false,
      });
      const [one, other] = parts.serving.calls.splice(0).map(({ request }) => request);
      expect(one).toEqual(other);
    }
  });

  it('may have the output of an answer as it came, and what tools answered', async () => {
    const { post, parts } = start(says, 'No.');
    const first = (await (await post('/v1/responses', body)).json()) as Whole;
    const answers = [0, 1].map((index) => ({
      type: 'function_call_output',
      call_id: callId('r1', index),
      output: index === 0 ? '3' : [{ type: 'input_text', text: '20' }],
    }));
    const input = [{ role: 'user', content: 'How warm is it?' }, ...first.output, ...answers];
    const next = (await (await post('/v1/responses', { ...body, input })).json()) as Whole;
    expect(next.output).toMatchObject([{ content: [{ text: 'No.' }] }]);
    const called = (index: number, city: string) => ({
      id: callId('r1', index),
      name: 'get_weather',
      arguments: `{"city": "${city}"}`,
    });
    const answered = (index: number, content: string) => ({
      role: 'tool',
      content,
      answers: { id: callId('r1', index), name: 'get_weather' },
    });
    expect(parts.serving.calls[1]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user', content: 'How warm is it?' },
        {
          role: 'assistant',
          content: 'I look.',
          reasoning: 'Where?',
          calls: [called(0, 'Oslo'), called(1, 'Rome')],
        },
        answered(0, '3'),
        answered(1, '20'),
      ],
    });
  });

  it('keeps answers of the assistant apart that follow each other', async () => {
    const { post, parts } = start('x');
    const said = (content: string) => ({ role: 'assistant', content });
    const thought = { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'hm' }], summary: [] };
    const input = [said('a'), said('b'), thought, said('c'), thought, { role: 'user', content: 'd' }];
    expect((await post('/v1/responses', { ...body, input })).status).toBe(200);
    expect(parts.serving.calls[0]?.request.prompt).toMatchObject({
      messages: [
        said('a'),
        said('b'),
        { ...said('c'), reasoning: 'hm' },
        { ...said(''), reasoning: 'hm' },
        { role: 'user', content: 'd' },
      ],
    });
  });
});

const call = { type: 'function_call', call_id: 'c1', name: 'get_weather', arguments: '{}' };
const answer = { type: 'function_call_output', call_id: 'c1', output: '3' };

it.each<[string, object, string]>([
  ['a tool of the server', { tools: [{ type: 'web_search', filters: {} }] }, 'tools.0.type'],
  ['a tool without a name', { tools: [{ type: 'function' }] }, 'tools.0.name'],
  ['a name with a space', { tools: [{ ...tool, name: 'a b' }] }, 'tools.0.name'],
  ['a choice of no tool', { tool_choice: { type: 'function', name: 'x' } }, 'tool_choice.name'],
  [
    'a choice among tools',
    { tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [] } },
    'tool_choice.mode',
  ],
  ['an answer of no call', { input: [answer] }, 'input.0.call_id'],
  ['an answer without its text', { input: [call, { ...answer, output: null }] }, 'input.1.output'],
  ['an answer of another tool', { input: [call, { ...answer, name: 'x' }] }, 'input.1.name'],
  ['a call without arguments', { input: [{ ...call, arguments: null }] }, 'input.0.arguments'],
  ['arguments that are no object', { input: [{ ...call, arguments: '[]' }] }, 'input.0.arguments'],
  ['a call with a text', { input: [{ ...call, content: 'x' }] }, 'input.0.content'],
  ['a message with a name', { input: [{ role: 'user', content: 'x', name: 'anna' }] }, 'input.0.name'],
  ['a message of nobody', { input: [{ content: 'x' }] }, 'input.0.role'],
  [
    'thoughts that are encrypted',
    { input: [{ type: 'reasoning', encrypted_content: 'x' }] },
    'input.0.encrypted_content',
  ],
  ['a short summary of thoughts', { reasoning: { summary: 'concise' } }, 'reasoning.summary'],
  ['an effort that nothing reads', { reasoning: { effort: 'low' } }, 'reasoning.effort'],
])('%s is refused by its field', async (_, over, param) => {
  const { parts, post } = start('x');
  const response = await post('/v1/responses', { ...body, ...over });
  expect(response.status).toBe(400);
  expect(await response.json()).toHaveProperty('error.param', param);
  expect(parts.serving.calls).toEqual([]);
});
