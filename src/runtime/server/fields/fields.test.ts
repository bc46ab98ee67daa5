import type {
  ChatCompletionAssistantMessageParam,
  ChatCompletionContentPart,
  ChatCompletionContentPartRefusal,
  ChatCompletionCreateParamsBase,
  ChatCompletionFunctionMessageParam,
  ChatCompletionMessage,
  ChatCompletionMessageToolCall,
  ChatCompletionStreamOptions,
  ChatCompletionTool,
  ChatCompletionToolChoiceOption,
  ChatCompletionToolMessageParam,
  ChatCompletionUserMessageParam,
} from 'openai/resources/chat/completions/completions';
import type { CompletionCreateParamsBase } from 'openai/resources/completions';
import type { EmbeddingCreateParams } from 'openai/resources/embeddings';
import type {
  EasyInputMessage,
  ResponseCreateParamsBase,
  ResponseFormatTextJSONSchemaConfig,
  ResponseInputContent,
  ResponseInputItem,
  ResponseOutputMessage,
  ResponseOutputRefusal,
  ResponseOutputText,
  ResponseReasoningItem,
  ResponseTextConfig,
} from 'openai/resources/responses/responses';
import type { Reasoning } from 'openai/resources/shared';
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { ChatInfo } from '../../engine/engine.ts';
import { readChat } from '../http/bodies.ts';
import { startFakeHttp as start } from '../testing/http-app.ts';
import { classifyFields, embeddingFields } from './encoding.ts';
import { feedbackFields } from './feedback.ts';
import { type Fields, honouredNames } from './field.ts';
import {
  chatFields,
  completionFields,
  type contentPart,
  type message,
  type streamOptions,
} from './generation.ts';
import {
  type inputItem,
  type inputPart,
  type reasoning,
  responseFields,
  type summaryPart,
  type textConfig,
  type textFormat,
} from './responses.ts';
import type { namedChoice, toolCall, tool as toolFields } from './tools.ts';
import { internalNames, vllmNames } from './vllm.fixture.ts';

/** Names that a union of objects has, of any of them. */
type Names<T> = T extends unknown ? keyof T : never;
type Lacking<T, F extends Fields> = Exclude<Names<T>, keyof F>;

const calls: readonly (readonly [string, Fields, Readonly<Record<string, unknown>>])[] = [
  ['/v1/completions', completionFields, { model: 'upper', prompt: 'abc' }],
  ['/v1/chat/completions', chatFields, { model: 'upper', messages: [{ role: 'user', content: 'abc' }] }],
  ['/v1/responses', responseFields, { model: 'upper', input: 'abc' }],
  ['/v1/embeddings', embeddingFields, { model: 'upper', input: 'abc' }],
  ['/v1/classify', classifyFields, { model: 'upper', input: 'abc' }],
  ['/v1/feedback', feedbackFields, { id: 'r1', reward: 1 }],
];

const tool = { type: 'function', function: { name: 'f', parameters: {} } };
const responseTools = { tools: [{ type: 'function', name: 'f', parameters: {} }] };

/** A value of each field that is read which differs from the default, so that it must be seen to do something. */
const telling: Readonly<Record<string, unknown>> = {
  model: 'sql',
  prompt: 'xy',
  input: 'xy',
  messages: [{ role: 'user', content: [{ type: 'text', text: 'xy' }] }],
  max_tokens: 2,
  max_completion_tokens: 2,
  max_output_tokens: 2,
  n: 2,
  instructions: 'be brief',
  include: ['message.output_text.logprobs'],
  text: { format: { type: 'json_object' } },
  metadata: { topic: 'x' },
  temperature: 0.5,
  top_p: 0.5,
  top_k: 3,
  min_p: 0.5,
  repetition_penalty: 2,
  frequency_penalty: 1,
  presence_penalty: 1,
  stop_token_ids: [7],
  min_tokens: 2,
  ignore_eos: true,
  bad_words: ['x'],
  stop: 'x',
  seed: 3,
  logit_bias: { 7: 1 },
  logprobs: true,
  top_logprobs: 2,
  echo: true,
  response_format: { type: 'json_object' },
  structured_outputs: { regex: 'a+' },
  guided_json: { type: 'null' },
  guided_regex: 'a+',
  guided_choice: ['a', 'b'],
  guided_grammar: 'start: "a"',
  tools: [tool],
  tool_choice: 'required',
  parallel_tool_calls: false,
  chat_template_kwargs: { enable_thinking: false },
  reasoning_effort: 'low',
  reasoning: { effort: 'low' },
  user: 'anna',
  stream: true,
  store: false,
  stream_options: { include_usage: true },
  encoding_format: 'base64',
  id: 'r2',
  reward: 2,
};

/** What a field needs beside it. */
const beside: Readonly<Record<string, object>> = {
  top_logprobs: { logprobs: true },
  stream_options: { stream: true },
  tool_choice: { tools: [tool] },
  parallel_tool_calls: { tools: [tool], tool_choice: 'required' },
};

const besideOf = (path: string, name: string): object => {
  if (path !== '/v1/responses') return beside[name] ?? {};
  if (name === 'top_logprobs') return { include: ['message.output_text.logprobs'] };
  return Object.hasOwn(beside[name] ?? {}, 'tools')
    ? { ...beside[name], ...responseTools }
    : (beside[name] ?? {});
};

const tellingOf = (path: string, name: string): unknown =>
  path === '/v1/responses' && name === 'tools' ? responseTools.tools : telling[name];

const thinking: ChatInfo = { calls: 'hermes', parallel: true, thinks: true, effort: ['reasoning_effort'] };

/** What was asked of the engine, and what was answered but for its id and time. */
const outcome = async (path: string, body: object): Promise<string> => {
  const { post, parts } = start();
  const { base } = parts.serving;
  parts.serving.base = { ...base, chat: thinking };
  const response = await post(path, body);
  expect(response.status).toBe(200);
  const { calls: generated, encoded, rewards } = parts.serving;
  const asked = [...generated, ...encoded].map(({ context: { user, model }, request }) => ({
    user,
    model,
    request,
  }));
  const text = (await response.text()).replaceAll(/"created(_at)?":\d+/g, '');
  return JSON.stringify([asked, [...rewards], text]);
};

describe.each(calls)('%s', (path, fields, base) => {
  it('every field that is read does something', async () => {
    for (const name of honouredNames(fields)) {
      const value = path === '/v1/completions' && name === 'logprobs' ? 2 : tellingOf(path, name);
      const without = { ...base, ...besideOf(path, name) };
      expect(await outcome(path, { ...without, [name]: value }), name).not.toBe(await outcome(path, without));
    }
  });

  it('every field that changes nothing, and every value that asks for what is done anyway, leaves the answer as it is', async () => {
    const plain = await outcome(path, base);
    for (const [name, field] of Object.entries(fields)) {
      if (field.use === 'honoured') continue;
      const values = field.use === 'harmless' ? ['x', true, 1, {}, []] : [null, ...field.neutral];
      for (const value of values) expect(await outcome(path, { ...base, [name]: value }), name).toBe(plain);
    }
  });

  it('every other field is refused by its name, with a reason and what to do', async () => {
    const { post, parts } = start();
    for (const [name, field] of Object.entries(fields)) {
      if (field.use !== 'refused') continue;
      const response = await post(path, { ...base, [name]: 'something' });
      expect(response.status, name).toBe(400);
      expect(await response.json()).toMatchObject({
        error: {
          param: name,
          code: 'request_unsupported',
          message: expect.stringContaining(`${field.why}. Leave it out`),
        },
      });
    }
    expect(parts.serving.calls).toEqual([]);
  });

  it('a field that nobody knows is refused with the nearest name that is known', async () => {
    const { post } = start();
    const [known = ''] = honouredNames(fields);
    for (const [name, hint] of [
      [`${known}x`, `the nearest known name is ${known}`],
      ['zzzzzzzzzz', `known are ${known}`],
      ['constructor', 'is not known'],
      ['\u0000', 'is not known'],
    ] as const) {
      const response = await post(path, { ...base, [name]: 1 });
      expect(response.status, name).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { code: 'request_invalid', message: expect.stringContaining(hint) },
      });
    }
    expect((await post(path, `{"__proto__": {"n": 2}, ${JSON.stringify(base).slice(1)}`)).status).toBe(400);
  });
});

it("every field of vLLM's requests is in the table, and those of its engine are refused as unknown", async () => {
  for (const [path, fields, base] of calls) {
    const names = vllmNames[path as keyof typeof vllmNames] ?? [];
    expect(
      names.filter((name) => !Object.hasOwn(fields, name)),
      path,
    ).toEqual([]);
    for (const name of internalNames.split(' '))
      expect((await start().post(path, { ...base, [name]: 1 })).status, name).toBe(400);
  }
});

it("every field of OpenAI's requests is in the table, also those inside others", () => {
  expectTypeOf<Lacking<CompletionCreateParamsBase, typeof completionFields>>().toBeNever();
  expectTypeOf<Lacking<ChatCompletionCreateParamsBase, typeof chatFields>>().toBeNever();
  expectTypeOf<Lacking<EmbeddingCreateParams, typeof embeddingFields>>().toBeNever();
  expectTypeOf<Lacking<ChatCompletionStreamOptions, typeof streamOptions>>().toBeNever();
  type Messages =
    | ChatCompletionAssistantMessageParam
    | ChatCompletionFunctionMessageParam
    | ChatCompletionMessage
    | ChatCompletionToolMessageParam
    | ChatCompletionUserMessageParam;
  expectTypeOf<Lacking<Messages, typeof message>>().toBeNever();
  expectTypeOf<Lacking<ChatCompletionTool, typeof toolFields>>().toBeNever();
  expectTypeOf<Lacking<ChatCompletionMessageToolCall, typeof toolCall>>().toBeNever();
  type Choices = Exclude<ChatCompletionToolChoiceOption, string>;
  expectTypeOf<Lacking<Choices, typeof namedChoice>>().toBeNever();
  type Parts = ChatCompletionContentPart | ChatCompletionContentPartRefusal;
  expectTypeOf<Lacking<Parts, typeof contentPart>>().toBeNever();
  expectTypeOf<Lacking<ResponseCreateParamsBase, typeof responseFields>>().toBeNever();
  type Items =
    | EasyInputMessage
    | ResponseInputItem.FunctionCallOutput
    | ResponseInputItem.ItemReference
    | ResponseInputItem.Message
    | ResponseOutputMessage
    | ResponseReasoningItem;
  expectTypeOf<Lacking<Items, typeof inputItem>>().toBeNever();
  type ItemParts = ResponseInputContent | ResponseOutputText | ResponseOutputRefusal;
  expectTypeOf<Lacking<ItemParts, typeof inputPart>>().toBeNever();
  expectTypeOf<Lacking<ResponseReasoningItem.Summary, typeof summaryPart>>().toBeNever();
  expectTypeOf<Lacking<Reasoning, typeof reasoning>>().toBeNever();
  expectTypeOf<Lacking<ResponseTextConfig, typeof textConfig>>().toBeNever();
  expectTypeOf<Lacking<ResponseFormatTextJSONSchemaConfig, typeof textFormat>>().toBeNever();
});

it.each<[string, object, string]>([
  [
    'stream_options',
    { stream: true, stream_options: { continuous_usage_stats: true } },
    'stream_options.continuous_usage_stats',
  ],
  [
    'stream_options that nobody knows',
    { stream_options: { include_usages: true } },
    'stream_options.include_usages',
  ],
  [
    'a message',
    {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'user', content: 'x', audio: { id: 'a' } },
      ],
    },
    'messages.1.audio',
  ],
  [
    'a part of a message',
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'x', detail: 1 }] }] },
    'messages.0.content.0.detail',
  ],
  [
    'an image',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }] },
    'messages.0.content.0.image_url',
  ],
])('%s is refused by its path', async (_, over, param) => {
  const response = await start().post('/v1/chat/completions', {
    model: 'sql',
    messages: [{ role: 'user', content: 'x' }],
    ...over,
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toHaveProperty('error.param', param);
});

it("an assistant's message can be sent back as it came", async () => {
  const { post } = start();
  const ask = (messages: object[]) => post('/v1/chat/completions', { model: 'sql', messages });
  const question = { role: 'user', content: 'x' };
  const { choices } = (await (await ask([question])).json()) as { choices: { message: object }[] };
  const whole = { ...choices[0]?.message, annotations: [], tool_calls: [], audio: null, parsed: null };
  expect((await ask([question, whole, question])).status).toBe(200);
});

it.each(['messages', 'stream_options'])('lists in lists are refused however deep they are: %s', (name) => {
  let value: unknown = [];
  for (let level = 0; level < 200_000; level++) value = [value];
  expect(() => readChat({ model: 'sql', messages: [], [name]: value })).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', param: expect.stringMatching(name) }),
  );
});

it.each([{ ['k'.repeat(1_000_000)]: 'x' }, { ['k'.repeat(1_000_000)]: 1 }])(
  'a name that somebody made up is quoted in part',
  async (bias) => {
    const body = { model: 'sql', messages: [{ role: 'user', content: 'x' }], logit_bias: bias };
    const response = await start().post('/v1/chat/completions', body);
    expect(response.status).toBe(400);
    const text = await response.text();
    expect(text).toMatch(/logit_bias/);
    expect(text.length).toBeLessThan(1000);
  },
);

it.each(['prompt', 'guided_choice'])(
  'an object whose length is no number is refused by its place: %s',
  async (name) => {
    const odd = { length: { toString: null } };
    const response = await start().post('/v1/completions', { model: 'sql', prompt: 'x', [name]: odd });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param: name, code: 'request_invalid' } });
  },
);

it.each<[string, object, string]>([
  [
    '/v1/chat/completions',
    { messages: [{ role: 'assistant', tool_calls: Array(200_000).fill(1) }] },
    'messages.0.tool_calls.0',
  ],
  ['/v1/completions', { prompt: [Array(32_000).fill('a')] }, 'prompt'],
])('a list that is wrong in all of its elements is refused by its place: %s', async (path, more, param) => {
  const response = await start().post(path, { model: 'sql', ...more });
  expect([response.status, await response.json()]).toMatchObject([400, { error: { param } }]);
});
