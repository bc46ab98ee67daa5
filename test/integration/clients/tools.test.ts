import { BadRequestError, NotFoundError, OpenAI } from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callId } from '../../../src/runtime/server/chat/answer-reader.ts';
import { startHttp } from '../../../src/runtime/server/http/server.ts';
import { type FakeParts, fakeParts } from '../../../src/runtime/server/testing/parts.ts';
import { weather, weatherCall } from '../../../src/runtime/server/testing/weather.ts';

const messages: OpenAI.ChatCompletionMessageParam[] = [
  { role: 'user', content: 'Is Oslo warmer than Rome?' },
];

describe('the openai client, with tools', () => {
  let parts: FakeParts;
  let client: OpenAI;
  let close: () => Promise<void>;

  // The protocol alone: the server is real, what it serves says what it is told to.
  beforeEach(async () => {
    parts = fakeParts();
    const { serving } = parts;
    serving.base = { ...serving.base, chat: { calls: 'hermes', parallel: true, thinks: true } };
    const http = await startHttp({ ...parts, address: '127.0.0.1:0' });
    close = async () => {
      await http.close(1000);
    };
    client = new OpenAI({ baseURL: `http://127.0.0.1:${http.port}/v1`, apiKey: 'unused', maxRetries: 0 });
  });
  afterEach(async () => {
    await close();
  });

  const body = { model: 'tiny', messages, tools: [{ type: 'function' as const, function: weather }] };

  it('gets calls, whole and streamed the same', async () => {
    parts.serving.says = [
      `<think>\nBoth.\n</think>\n\nI look.\n${weatherCall('Oslo')}\n${weatherCall('Rome')}`,
    ];
    const whole = await client.chat.completions.create(body);
    const [choice] = whole.choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    expect(choice?.message.content).toBe('I look.');
    expect(choice?.message).toHaveProperty('reasoning_content', 'Both.');
    const named = (calls: readonly object[] | undefined) =>
      calls?.map((call) => ({ ...call, id: expect.stringMatching(/^call_[0-9a-f]{24}$/) as string }));
    expect(choice?.message.tool_calls).toEqual([
      {
        id: callId('r1', 0),
        type: 'function',
        function: { name: 'get_weather', arguments: '{"city": "Oslo"}' },
      },
      {
        id: callId('r1', 1),
        type: 'function',
        function: { name: 'get_weather', arguments: '{"city": "Rome"}' },
      },
    ]);
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices[0]?.finish_reason).toBe('tool_calls');
    expect(streamed.choices[0]?.message.content).toBe('I look.');
    expect(streamed.choices[0]?.message.tool_calls).toMatchObject(named(choice?.message.tool_calls) ?? []);
  });

  const code = 'x = 1\\n'.repeat(200);

  it('sees a long argument grow in a stream', async () => {
    parts.serving.says = [weatherCall(code)];
    const stream = client.chat.completions.stream(body);
    const seen: string[] = [];
    stream.on('tool_calls.function.arguments.delta', (event) => seen.push(event.arguments));
    const { choices } = await stream.finalChatCompletion();
    const written = `{"city": "${code}"}`;
    expect(choices[0]?.message.tool_calls).toMatchObject([{ function: { arguments: written } }]);
    expect(seen.length).toBeGreaterThan(1000);
    expect(seen.at(-1)).toBe(written);
  });

  it.each([false, true])('is told that an answer ended within arguments; streamed: %s', async (stream) => {
    parts.serving.says = [weatherCall(code)];
    const asked = { ...body, max_tokens: 100 };
    const { choices } = stream
      ? await client.chat.completions.stream(asked).finalChatCompletion()
      : await client.chat.completions.create(asked);
    expect(choices[0]?.finish_reason).toBe('length');
    expect(choices[0]?.message.tool_calls).toMatchObject([
      { id: callId('r1', 0), function: { arguments: weatherCall(code).slice(49, 100) } },
    ]);
  });

  it.each([false, true])('has a model write anew what is no JSON; streamed: %s', async (stream) => {
    parts.serving.says = [
      weatherCall('Oslo').replace('"Oslo"', 'Oslo"'),
      weatherCall('Rome').slice(0, -15),
      'No.',
    ];
    const asked: string[] = [];
    const runnable = {
      type: 'function' as const,
      function: {
        ...weather,
        parameters: { ...weather.parameters, required: ['city'] },
        parse: (text: string) => JSON.parse(text) as { city: string },
        function: ({ city }: { city: string }) => {
          asked.push(city);
          return '3 degrees';
        },
      },
    };
    const run = { model: 'tiny', messages, tools: [runnable] };
    const runner = stream
      ? client.chat.completions.runTools({ ...run, stream: true })
      : client.chat.completions.runTools(run);
    expect(await runner.finalContent()).toBe('No.');
    expect(asked).toEqual([]);
    expect(parts.serving.calls[2]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', content: expect.stringContaining(`"arguments": {"city": Oslo"}}`) as string },
        { role: 'tool', content: expect.stringContaining('JSON') as string },
        { role: 'assistant', content: expect.stringContaining('"arguments": {"city": "Rome') as string },
        { role: 'tool', content: expect.stringContaining('JSON') as string },
      ],
    });
  });

  it.each([false, true])('runs tools until there is an answer; streamed: %s', async (stream) => {
    parts.serving.says = [weatherCall('Oslo'), weatherCall('Rome'), 'No.'];
    const asked: string[] = [];
    const runnable = {
      type: 'function' as const,
      function: {
        ...weather,
        parameters: { ...weather.parameters, required: ['city'] },
        parse: (text: string) => JSON.parse(text) as { city: string },
        function: ({ city }: { city: string }) => {
          asked.push(city);
          return '3 degrees';
        },
      },
    };
    const run = { model: 'tiny', messages, tools: [runnable] };
    const runner = stream
      ? client.chat.completions.runTools({ ...run, stream: true })
      : client.chat.completions.runTools(run);
    expect(await runner.finalContent()).toBe('No.');
    expect(asked).toEqual(['Oslo', 'Rome']);
    expect(parts.serving.calls[2]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', calls: [{ id: callId('r1', 0), arguments: '{"city": "Oslo"}' }] },
        { role: 'tool', content: '3 degrees', answers: { id: callId('r1', 0), name: 'get_weather' } },
        { role: 'assistant', calls: [{ id: callId('r2', 0), arguments: '{"city": "Rome"}' }] },
        { role: 'tool', content: '3 degrees', answers: { id: callId('r2', 0), name: 'get_weather' } },
      ],
    });
  });

  it('asks for a call of one tool', async () => {
    parts.serving.says = [weatherCall('Oslo')];
    const choice = { type: 'function', function: { name: 'get_weather' } } as const;
    const { choices } = await client.chat.completions.create({ ...body, tool_choice: choice });
    expect(choices[0]?.message.tool_calls).toHaveLength(1);
    expect(parts.serving.calls[0]?.request.structure?.kind).toBe('calls');
  });

  describe('with responses', () => {
    const asked = {
      model: 'tiny',
      input: 'Is Oslo warmer than Rome?',
      tools: [{ type: 'function' as const, ...weather, strict: true }],
    };

    it('gets thoughts, texts and calls, whole and by its stream helper the same', async () => {
      parts.serving.says = [
        `<think>\nBoth.\n</think>\n\nI look.\n${weatherCall('Oslo')}\n${weatherCall('Rome')}`,
      ];
      const whole = await client.responses.create(asked);
      expect(whole.output.map((item) => item.type)).toEqual([
        'reasoning',
        'message',
        'function_call',
        'function_call',
      ]);
      expect(whole.output_text).toBe('I look.');
      const stream = client.responses.stream(asked);
      const snapshots: string[] = [];
      stream.on('response.function_call_arguments.delta', ({ snapshot }) => snapshots.push(snapshot));
      const streamed = await stream.finalResponse();
      const plain = (output: readonly object[]) =>
        output.map((item) => ({ ...item, id: '', call_id: '', parsed_arguments: null }));
      expect(plain(streamed.output)).toMatchObject(plain(whole.output));
      expect(snapshots.filter((text) => text.endsWith('}'))).toEqual([
        '{"city": "Oslo"}',
        '{"city": "Rome"}',
      ]);
      expect(snapshots.length).toBeGreaterThan(20);
    });

    it('gets thoughts as the summary that it asks for, and refers to them', async () => {
      parts.serving.says = ['<think>\nBoth.\n</think>\n\nNo.'];
      const wanted = { ...asked, reasoning: { summary: 'auto' as const } };
      const { output } = await client.responses.create(wanted);
      const [thought, message] = output;
      expect(thought).toMatchObject({
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: 'Both.' }],
      });
      let seen = '';
      for await (const event of client.responses.stream(wanted))
        if (event.type === 'response.reasoning_summary_text.delta') seen += event.delta;
      expect(seen).toBe('Both.');
      const referred = [thought, message].map((item) => ({
        type: 'item_reference' as const,
        id: item?.id ?? '',
      }));
      const input = [...referred, { role: 'user' as const, content: 'Sure?' }];
      await client.responses.create({ ...asked, input });
      expect(parts.serving.calls.at(-1)?.request.prompt).toMatchObject({
        messages: [{ role: 'assistant', content: 'No.', reasoning: 'Both.' }, { role: 'user' }],
      });
    });

    it('is told which item is not known', async () => {
      const input = [{ type: 'item_reference' as const, id: 'msg_1' }];
      const failure: unknown = await client.responses
        .create({ ...asked, input })
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(NotFoundError);
      expect(failure).toMatchObject({ code: 'item_not_found', param: 'input.0.id' });
    });

    it('runs tools until there is an answer', async () => {
      parts.serving.says = [weatherCall('Oslo'), weatherCall('Rome'), 'No.'];
      const input: OpenAI.Responses.ResponseInputItem[] = [{ role: 'user', content: asked.input }];
      const cities: unknown[] = [];
      let text = '';
      for (let turn = 0; turn < 3; turn += 1) {
        const { output, output_text } = await client.responses.create({ ...asked, input });
        input.push(...(output as typeof input));
        for (const item of output) {
          if (item.type !== 'function_call') continue;
          cities.push(JSON.parse(item.arguments));
          input.push({ type: 'function_call_output', call_id: item.call_id, output: '3 degrees' });
        }
        text = output_text;
      }
      expect(cities).toEqual([{ city: 'Oslo' }, { city: 'Rome' }]);
      expect(text).toBe('No.');
      expect(parts.serving.calls[2]?.request.prompt).toMatchObject({
        messages: [
          { role: 'user' },
          { role: 'assistant', calls: [{ arguments: '{"city": "Oslo"}' }] },
          { role: 'tool', content: '3 degrees', answers: { name: 'get_weather' } },
          { role: 'assistant', calls: [{ arguments: '{"city": "Rome"}' }] },
          { role: 'tool', content: '3 degrees', answers: { name: 'get_weather' } },
        ],
      });
    });
  });

  it('is told by the name of the field what cannot be done', async () => {
    const { serving } = parts;
    serving.base = { ...serving.base, chat: { calls: 'none', parallel: true, thinks: false } };
    const failure: unknown = await client.chat.completions.create(body).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(BadRequestError);
    expect(failure).toMatchObject({ param: 'tools', code: 'request_unsupported' });
  });
});
