import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OpenAI } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { aiSdkSchemas } from '../integration/clients/ai-sdk.ts';
import { openaiPython } from '../integration/clients/openai-python.ts';
import { langchainTools, openaiPythonTools } from '../integration/clients/openai-python-tools.ts';
import { TestNode, tiny, yaml } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

/** Of the family that writes calls between marks, and so short that there is room for them. */
const template =
  '{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{"name": "{{ c.function.name }}", ' +
  '"arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}{% endfor %}' +
  "{% for t in tools or [] %}{{ t.function.name }}{% endfor %}{% if deep %}{{ '<think>' }}{% endif %}{# </think> #}";

const tool = (name: string, properties: object) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties, required: Object.keys(properties) } },
});
const tools = [
  tool('order', { size: { enum: ['small', 'large'] }, count: { type: 'integer', minimum: 1, maximum: 9 } }),
  tool('stop', {}),
];

const python = await openaiPython();

describe('a node whose base model takes tools', () => {
  const folder = folderOfTests();
  let node: TestNode;
  let client: OpenAI;

  beforeAll(async () => {
    // The tiny model was not trained for calls: those that it makes are the structure's.
    await cp(join(tiny.root, 'model'), folder, { recursive: true });
    const path = join(folder, 'tokenizer_config.json');
    const config = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...config, chat_template: template }));
    node = await TestNode.start({ model: join(folder, 'onnx-fp32') });
    client = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  afterAll(async () => {
    await node?.dispose();
  });

  const body = {
    model: 'tiny',
    messages: [{ role: 'user' as const, content: 'moon:' }],
    tools,
    max_tokens: 150,
    parallel_tool_calls: false,
  };

  it('calls one of them where one has to be called, with arguments by its schema', async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const { choices } = await client.chat.completions.create({ ...body, tool_choice: 'required', seed });
      const [choice] = choices;
      expect(choice?.finish_reason).toBe('tool_calls');
      expect(choice?.message.content).toBeNull();
      const [call, ...more] = choice?.message.tool_calls ?? [];
      expect(more).toEqual([]);
      if (call?.type !== 'function') throw new Error('there is no call');
      expect(['order', 'stop']).toContain(call.function.name);
      const given: unknown = JSON.parse(call.function.arguments);
      const order = {
        size: expect.stringMatching(/^(small|large)$/) as string,
        count: expect.any(Number) as number,
      };
      expect(given).toEqual(call.function.name === 'order' ? order : {});
    }
  });

  it('calls the one that is named, whole and streamed the same, and takes its answer', async () => {
    const choice = { type: 'function' as const, function: { name: 'order' } };
    const asked = { ...body, tool_choice: choice, temperature: 0 };
    const whole = await client.chat.completions.create(asked);
    const message = whole.choices[0]?.message;
    const stream = client.chat.completions.stream(asked);
    const seen: string[] = [];
    stream.on('tool_calls.function.arguments.delta', (event) => seen.push(event.arguments));
    const streamed = await stream.finalMessage();
    expect(seen.length).toBeGreaterThan(2);
    const functionOf = (calls: readonly object[] | undefined) =>
      calls?.map((call) => ('function' in call ? call.function : undefined));
    expect(functionOf(streamed.tool_calls)).toMatchObject(functionOf(message?.tool_calls) ?? []);
    const [call] = message?.tool_calls ?? [];
    if (message === undefined || call === undefined) throw new Error('there is no call');
    const answer = { role: 'tool' as const, tool_call_id: call.id, content: ':' };
    const next = await client.chat.completions.create({
      ...body,
      messages: [...body.messages, message, answer],
      tool_choice: 'none',
      max_tokens: 8,
    });
    expect(next.choices[0]?.message.tool_calls).toBeUndefined();
  });

  it('has the arguments so far where max_tokens cuts a call, whole and streamed the same', async () => {
    const choice = { type: 'function' as const, function: { name: 'order' } };
    const asked = { ...body, tool_choice: choice, temperature: 0 };
    const { usage } = await client.chat.completions.create(asked);
    const cut = { ...asked, max_tokens: (usage?.completion_tokens ?? 0) - 20 };
    const whole = (await client.chat.completions.create(cut)).choices[0];
    const streamed = (await client.chat.completions.stream(cut).finalChatCompletion()).choices[0];
    for (const one of [whole, streamed]) {
      expect(one?.finish_reason).toBe('length');
      expect(one?.message.content ?? '').toBe('');
      expect(one?.message.tool_calls).toMatchObject([
        { function: { name: 'order', arguments: expect.stringMatching(/^\{[^}]*$/) as string } },
      ]);
    }
    const functionOf = (calls: readonly object[] | undefined) =>
      calls?.map((call) => ('function' in call ? call.function : undefined));
    expect(functionOf(streamed?.message.tool_calls)).toMatchObject(
      functionOf(whole?.message.tool_calls) ?? [],
    );
  });

  it('calls through responses as well, whole and streamed the same, and takes the answer', async () => {
    const [{ type, function: order }] = [tools[0] ?? tool('none', {})];
    const asked = {
      model: 'tiny',
      input: 'moon:',
      tools: [{ type, ...order, strict: true }],
      tool_choice: { type, name: 'order' },
      parallel_tool_calls: false,
      max_output_tokens: 150,
      temperature: 0,
    };
    const whole = await client.responses.create(asked);
    const streamed = await client.responses.stream(asked).finalResponse();
    const [call, ...more] = whole.output;
    expect(more).toEqual([]);
    if (call?.type !== 'function_call') throw new Error('there is no call');
    expect(JSON.parse(call.arguments)).toHaveProperty('count', expect.any(Number));
    expect(streamed.output).toMatchObject([{ type: 'function_call', arguments: call.arguments }]);
    const next = await client.responses.create({
      ...asked,
      input: [
        { role: 'user', content: 'moon:' },
        call,
        { type: 'function_call_output', call_id: call.call_id, output: ':' },
      ],
      tool_choice: 'none',
      max_output_tokens: 8,
    });
    expect(next.output.map((item) => item.type)).toEqual(['message']);
  });

  it('calls, or answers by the schema, as the model chooses; the client reads both', async () => {
    const asked = {
      ...body,
      tools: tools.map(({ type, function: own }) => ({ type, function: { ...own, strict: true } })),
      response_format: zodResponseFormat(z.object({ warm: z.boolean() }), 'answer'),
    };
    const tokenizer = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8')) as {
      model: { vocab: Record<string, number> };
    };
    /** The model has a token for each character, so this one begins. */
    const parse = (first: '<' | '{') =>
      client.chat.completions.parse({
        ...asked,
        logit_bias: { [String(tokenizer.model.vocab[first])]: 100 },
      });
    const [said] = (await parse('{')).choices;
    expect(said?.finish_reason).toBe('stop');
    expect(said?.message.tool_calls ?? []).toEqual([]);
    expect(said?.message.parsed).toEqual({ warm: expect.any(Boolean) as boolean });
    const [called] = (await parse('<')).choices;
    expect(called?.finish_reason).toBe('tool_calls');
    expect(called?.message.content).toBeNull();
    const [call] = called?.message.tool_calls ?? [];
    expect(call).toHaveProperty('function.parsed_arguments', expect.any(Object) as object);
  });

  it('gives text where the model writes no call', async () => {
    const { choices } = await client.chat.completions.create({ ...body, max_tokens: 8, temperature: 0 });
    expect(choices[0]?.finish_reason).not.toBe('tool_calls');
    expect(choices[0]?.message.content).toBeTypeOf('string');
  });

  it('tells the thoughts that a prompt opened apart, in each of several answers, whole and streamed', async () => {
    const asked = {
      model: 'tiny',
      messages: body.messages,
      max_tokens: 8,
      temperature: 0,
      n: 2,
      chat_template_kwargs: { deep: true },
    };
    const whole = await client.chat.completions.create(asked);
    const streaming = { ...asked, stream: true as const };
    const stream = await client.chat.completions.create(streaming);
    const streamed = ['', ''];
    for await (const { choices } of stream)
      for (const { index, delta } of choices) {
        expect(delta.content ?? '').toBe('');
        if ('reasoning_content' in delta) streamed[index] += String(delta.reasoning_content);
      }
    expect(whole.choices).toHaveLength(2);
    for (const { index, message } of whole.choices) {
      expect(message.content).toBe('');
      expect(message).toHaveProperty('reasoning_content', expect.stringMatching(/./));
      expect(message).toHaveProperty('reasoning_content', streamed[index]);
    }
    const shallow = { ...asked, chat_template_kwargs: { deep: false } };
    const plain = await client.chat.completions.create(shallow);
    expect(plain.choices[0]?.message).not.toHaveProperty('reasoning_content');
    expect(plain.choices[0]?.message.content).toMatch(/./);
  });

  it('turns thoughts on and off in responses, and refuses an effort that its template does not read', async () => {
    const asked = { model: 'tiny', input: 'x', max_output_tokens: 8, temperature: 0 };
    const typesOf = async (deep: boolean): Promise<readonly string[]> => {
      const more = { chat_template_kwargs: { deep } } as object;
      const { output } = await client.responses.create({ ...asked, ...more });
      return output.map(({ type }) => type);
    };
    expect(await typesOf(true)).toEqual(['reasoning']);
    expect(await typesOf(false)).toEqual(['message']);
    const refused = client.responses.create({ ...asked, reasoning: { effort: 'low' } });
    await expect(refused).rejects.toMatchObject({ status: 400, param: 'reasoning.effort' });
  });

  it('names the tool whose parameters cannot be enforced', async () => {
    const bad = tool('tag', { tags: { type: 'array', uniqueItems: true } });
    const failure: unknown = await client.chat.completions
      .create({ ...body, tools: [bad], tool_choice: 'required' })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'structure_unsupported',
      message: expect.stringContaining(
        'of the tool tag: #/properties/tags: the keyword uniqueItems',
      ) as string,
    });
  });

  it('refuses variables that the chat template does not name', async () => {
    const asked = { ...body, chat_template_kwargs: { enable_thinking: false } };
    const failure: unknown = await client.chat.completions.create(asked).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      status: 400,
      message: expect.stringContaining('enable_thinking') as string,
    });
  });

  const target = () => ({ httpUrl: node.http, model: 'tiny', prompt: 'moon:', maxTokens: 120 });
  aiSdkSchemas(target);
  if (python === undefined) it.skip('the openai clients of Python: this machine has no python3');
  else {
    openaiPythonTools(target, python);
    langchainTools(target, python);
  }
});

it('a node whose base model takes none refuses tools by their name', async () => {
  const node = await TestNode.start();
  try {
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
    await waitFor('the adapter', async () => (await node.client.status()).adapters.length === 1);
    const client = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'moon:' }];
    const failure: unknown = await client.chat.completions
      .create({ model: 'upper', messages, tools })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ param: 'tools', code: 'request_unsupported' });
  } finally {
    await node.dispose();
  }
});
