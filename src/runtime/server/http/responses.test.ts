import { describe, expect, it, vi } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { startFakeHttp as start } from '../testing/http-app.ts';

const path = '/v1/responses';
const ask = { model: 'sql', input: 'ab' };

type Event = Record<string, unknown> & { readonly type: string };

/** The events of a stream; the name of each has to be the type that its data has. */
const eventsOf = async (response: Response): Promise<Event[]> =>
  (await response.text())
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => {
      const [name = '', data = ''] = block.split('\n');
      const event = JSON.parse(data.replace(/^data: /, '')) as Event;
      expect(name).toBe(`event: ${event.type}`);
      return event;
    });

describe('a response', () => {
  it("has OpenAI's shape, and says in its headers what made it", async () => {
    const { parts, post } = start();
    const response = await post(path, {
      ...ask,
      instructions: 'be brief',
      max_output_tokens: 100,
      metadata: { topic: 'x' },
      store: true,
    });
    expect(response.headers.get('x-adaptlet-adapter')).toBe('upper');
    expect(await response.json()).toMatchObject({
      id: 'resp_r1',
      object: 'response',
      status: 'completed',
      error: null,
      incomplete_details: null,
      instructions: 'be brief',
      metadata: { topic: 'x' },
      store: true,
      tools: [],
      output: [
        {
          id: 'msg_r1',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'SYSTEM:BE BRIEF\nUSER:AB', annotations: [], logprobs: [] }],
        },
      ],
      usage: { input_tokens: 23, output_tokens: 23, total_tokens: 46 },
    });
    expect(parts.serving.calls[0]?.request).toMatchObject({ maxTokens: 100, sampling: { temperature: 1 } });
  });

  it('without a limit gets what there is room for; one that reached it is incomplete, and says why', async () => {
    const { parts, post } = start();
    const cut: unknown = await (await post(path, { ...ask, max_output_tokens: 2 })).json();
    expect(cut).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'US' }] }],
    });
    await post(path, ask);
    expect(parts.serving.calls[1]?.request).toMatchObject({ fitContext: true, maxTokens: 2048 });
  });

  it('takes a conversation: texts, parts, and the output of an earlier answer as it came', async () => {
    const { parts, post } = start();
    const first = (await (await post(path, ask)).json()) as { output: object[] };
    const input = [
      { role: 'developer', content: 'be brief' },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'a' }] },
      ...first.output,
      { role: 'user', content: 'c' },
    ];
    expect((await post(path, { ...ask, input })).status).toBe(200);
    expect(parts.serving.calls[1]?.request.prompt).toEqual({
      kind: 'chat',
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'USER:AB' },
        { role: 'user', content: 'c' },
      ],
    });
  });

  it('can have to be JSON of a schema', async () => {
    const { parts, post } = start();
    const schema = { type: 'object', properties: {} };
    const format = { type: 'json_schema', name: 'x', strict: true, schema };
    expect((await post(path, { ...ask, text: { format } })).status).toBe(200);
    expect(parts.serving.calls[0]?.request.structure).toEqual({
      kind: 'json',
      source: JSON.stringify(schema),
    });
  });

  it('has log probabilities where they are asked for', async () => {
    const { post } = start();
    const include = ['message.output_text.logprobs'];
    const asked = { ...ask, include, top_logprobs: 2, max_output_tokens: 1 };
    const scored = { token: 'U', logprob: -0.5, bytes: [85] };
    expect(await (await post(path, asked)).json()).toMatchObject({
      output: [{ content: [{ logprobs: [{ ...scored, top_logprobs: [scored, { token: 'a' }] }] }] }],
    });
  });

  it('takes feedback by its id', async () => {
    const { parts, post } = start();
    expect((await post('/v1/feedback', { id: 'resp_r1', reward: 1 })).status).toBe(200);
    expect(parts.serving.rewards.get('r1')).toBe(1);
  });
});

const referred = (id: string) => ({
  ...ask,
  input: [
    { type: 'item_reference', id },
    { role: 'user', content: 'c' },
  ],
});

describe('a reference to an item of an answer', () => {
  it.each([false, true])('stands for the item, as it was answered; streamed: %s', async (stream) => {
    const { parts, post } = start();
    await (await post(path, { ...ask, stream, include: ['message.output_text.logprobs'] })).text();
    expect((await post(path, referred('msg_r1'))).status).toBe(200);
    expect(parts.serving.calls[1]?.request.prompt).toEqual({
      kind: 'chat',
      messages: [
        { role: 'assistant', content: 'USER:AB' },
        { role: 'user', content: 'c' },
      ],
    });
  });

  it('may be repeated, by other models as well', async () => {
    const { post } = start();
    await post(path, ask);
    for (const model of ['sql', 'tiny'])
      expect((await post(path, { ...referred('msg_r1'), model })).status).toBe(200);
  });

  it('stands once in a request: many to a long item would be longer than any body may be', async () => {
    const { parts, post } = start();
    await post(path, ask);
    const input = [0, 1].map(() => ({ type: 'item_reference', id: 'msg_r1' }));
    const response = await post(path, { ...ask, input });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { param: 'input.1.id', message: expect.stringMatching(/^input\.1\.id is that of another/) } },
    ]);
    expect(parts.serving.calls).toHaveLength(1);
  });

  it('that is not known is an error of its own, which says what to do', async () => {
    const { parts, post } = start();
    const response = await post(path, referred('msg_r1'));
    expect([response.status, await response.json()]).toMatchObject([
      404,
      {
        error: {
          code: 'item_not_found',
          type: 'invalid_request_error',
          param: 'input.0.id',
          message: expect.stringMatching(
            /^input\.0: item with id "msg_r1" not found\. Send the item .*store: false/,
          ),
        },
      },
    ]);
    expect(parts.serving.calls).toEqual([]);
  });

  it.each<[string, object, Record<string, string>, Record<string, string>]>([
    ['store was false', { store: false }, {}, {}],
    ['the answer was given to another namespace', {}, { 'x-adaptlet-namespace': 'team-a' }, {}],
    [
      'the answer was given to another user',
      {},
      { 'x-adaptlet-user': 'anna' },
      { 'x-adaptlet-user': 'berta' },
    ],
    ['the answer was given to a user, and nobody is named', { user: 'anna' }, {}, {}],
    [
      'the answer was given to another tenant',
      {},
      { 'x-adaptlet-tenant': 'a' },
      { 'x-adaptlet-tenant': 'b' },
    ],
  ])('is not known where %s', async (_, over, first, second) => {
    const { post } = start();
    const answered = await post(path, { ...ask, ...over }, { headers: first });
    expect(await answered.json()).toHaveProperty('output.0.id', 'msg_r1');
    expect((await post(path, referred('msg_r1'), { headers: second })).status).toBe(404);
    const own = await post(path, { ...referred('msg_r1'), ...over }, { headers: first });
    expect(own.status).toBe('store' in over ? 404 : 200);
  });

  it('is not known where the answer failed, or its reader left', async () => {
    const { parts, post } = start();
    parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 1 };
    await (await post(path, { ...ask, stream: true })).text();
    parts.serving.failure = undefined;
    const reader = (await post(path, { ...ask, stream: true })).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    for (const id of ['msg_r1', 'msg_r2']) expect((await post(path, referred(id))).status).toBe(404);
  });
});

describe('a streamed response', () => {
  it("has OpenAI's events in their order, numbered, whose deltas are the text", async () => {
    const { parts, post } = start();
    const response = await post(path, { ...ask, max_output_tokens: 2, stream: true });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = await eventsOf(response);
    expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'incomplete',
    ]);
    expect(events.map((event) => event['sequence_number'])).toEqual(events.map((_, index) => index));
    const at = { item_id: 'msg_r1', output_index: 0, content_index: 0 };
    expect(events[4]).toMatchObject({ ...at, delta: 'U', logprobs: [] });
    expect(events[6]).toMatchObject({ ...at, text: 'US' });
    expect(events.at(-1)).toMatchObject({
      response: {
        id: 'resp_r1',
        status: 'incomplete',
        output: [{ id: 'msg_r1', content: [{ text: 'US' }] }],
        usage: { output_tokens: 2 },
      },
    });
    expect(await parts.telemetry.metricsText()).toContain('protocol="http",code="OK"} 1');
  });

  it('ends with the whole response, as it would have come at once', async () => {
    const { post } = start();
    const whole = (await (await post(path, ask)).json()) as Record<string, unknown>;
    const last = (await eventsOf(await post(path, { ...ask, stream: true }))).at(-1);
    const anyTime = { id: expect.any(String), created_at: expect.any(Number) };
    expect(last).toMatchObject({
      type: 'response.completed',
      response: { ...whole, ...anyTime, output: [{ ...(whole['output'] as object[])[0], id: 'msg_r2' }] },
    });
  });

  it('that fails in the middle ends with response.failed', async () => {
    const { parts, post } = start();
    parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 1 };
    const events = await eventsOf(await post(path, { ...ask, stream: true }));
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: {
        status: 'failed',
        error: { code: 'engine_down', message: expect.stringContaining('killed') },
      },
    });
    expect(await parts.telemetry.metricsText()).toContain('code="ENGINE_DOWN"} 1');
  });

  it('whose client leaves ends the generation', async () => {
    const { parts, post } = start();
    const reader = (await post(path, { ...ask, stream: true })).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
    await vi.waitFor(() => expect(parts.serving.finished).toBe(1));
  });
});

it.each<[object, string, RegExp]>([
  [
    { type: 'web_search_call', id: 'ws_1', action: {}, queries: [] },
    'type',
    /^input\.37\.type is "web_search_call", must be message, function_call, .*item_reference: leave it out/,
  ],
  [{ type: 'a'.repeat(1000) }, 'type', /^input\.37\.type is "a{120}…"/],
  [{ type: 5 }, 'type', /^input\.37\.type is no text, must be message/],
  [{ type: 'item_reference', id: 'x', content: 'y' }, 'content', /belongs to no item_reference/],
  [{ role: 'tool', content: 'x' }, 'role', /^input\.37\.role: .*"assistant"/],
  [{ role: 'user', content: 5 }, 'content', /^input\.37\.content must be a string or a list of text parts/],
  [
    { role: 'user', content: [{ type: 'input_text', text: 'x' }, { type: 'input_video' }] },
    'content.1.type',
    /^input\.37\.content\.1\.type is "input_video", must be input_text, output_text or reasoning_text/,
  ],
  [{ role: 'user', content: [{ type: 'input_text' }] }, 'content.0.text', /^input\.37\.content\.0\.text/],
])(
  'an item that is wrong is reported by its place, what it is, and what to do: %j',
  async (item, at, said) => {
    const input = [...Array.from({ length: 37 }, () => ({ role: 'user', content: 'x' })), item];
    const response = await start().post(path, { ...ask, input });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { param: `input.37.${at}`, message: expect.stringMatching(said) } },
    ]);
  },
);

it.each<[string, object, string]>([
  ['what is stored', { previous_response_id: 'resp_1' }, 'previous_response_id'],
  ['a conversation of the server', { conversation: 'conv_1' }, 'conversation'],
  ['to be answered later', { background: true }, 'background'],
  ['tools, where the base model takes none', { tools: [{ type: 'function', name: 'f' }] }, 'tools'],
  [
    'the output of a tool, where it knows none',
    { input: [{ type: 'function_call_output', call_id: 'x', output: 'y' }] },
    'input.0.type',
  ],
  [
    'an image',
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:' }] }] },
    'input.0.content.0.image_url',
  ],
  ['an item without its id', { input: [{ type: 'item_reference' }] }, 'input.0.id'],
  ['nothing', { input: [] }, 'input'],
  ['probabilities without saying so', { top_logprobs: 2 }, 'top_logprobs'],
  ['JSON of no schema', { text: { format: { type: 'json_schema', name: 'x' } } }, 'text.format.schema'],
  ['a format that nobody knows', { text: { formats: {} } }, 'text.formats'],
])('a request for %s is refused by its field', async (_, over, param) => {
  const { parts, post } = start();
  const response = await post(path, { ...ask, ...over });
  expect(response.status).toBe(400);
  expect(await response.json()).toHaveProperty('error.param', param);
  expect(parts.serving.calls).toEqual([]);
});
