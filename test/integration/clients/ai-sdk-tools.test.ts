import { createOpenAI, type OpenAIProviderSettings } from '@ai-sdk/openai';
import { generateText, jsonSchema, type LanguageModel, stepCountIs, streamText, tool } from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startHttp } from '../../../src/runtime/server/http/server.ts';
import { type FakeParts, fakeParts } from '../../../src/runtime/server/testing/parts.ts';
import { weather, weatherCall } from '../../../src/runtime/server/testing/weather.ts';

globalThis.AI_SDK_LOG_WARNINGS = false;

type Models = (id: string) => LanguageModel;
type Kind = readonly [
  string,
  (settings: OpenAIProviderSettings) => Models,
  { readonly openai: { readonly store: false } } | undefined,
];

// The protocol alone: the server is real, what it serves says what it is told to.
describe.each([
  ['as it comes', createOpenAI, undefined],
  ['chat', (settings) => (id) => createOpenAI(settings).chat(id), undefined],
  // It sends what was said, and not its id.
  ['responses that are not stored', createOpenAI, { openai: { store: false } }],
] as const satisfies readonly Kind[])('the AI SDK, with tools: %s', (_, modelsOf, providerOptions) => {
  let parts: FakeParts;
  let url: string;
  let close: () => Promise<void>;

  beforeEach(async () => {
    parts = fakeParts();
    const { serving } = parts;
    serving.base = { ...serving.base, chat: { calls: 'hermes', parallel: true, thinks: true } };
    serving.says = [`I look.\n${weatherCall('Oslo')}\n${weatherCall('Rome')}`, 'No.'];
    const http = await startHttp({ ...parts, address: '127.0.0.1:0' });
    url = `http://127.0.0.1:${http.port}/v1`;
    close = async () => {
      await http.close(1000);
    };
  });
  afterEach(async () => {
    await close();
  });

  const asked = () => ({
    model: modelsOf({ baseURL: url, apiKey: 'unused' })('tiny'),
    prompt: 'Is Oslo warmer than Rome?',
    maxRetries: 0,
    ...(providerOptions === undefined ? {} : { providerOptions }),
    stopWhen: stepCountIs(3),
    tools: {
      get_weather: tool({
        description: weather.description,
        inputSchema: jsonSchema<{ city: string }>({ ...weather.parameters, required: ['city'] }),
        execute: ({ city }) => `3 degrees in ${city}`,
      }),
    },
  });

  it('sees input grow, and calls no tool whose input was cut', async () => {
    const cut = weatherCall('x = 1\\n'.repeat(200)).slice(0, 500);
    parts.serving.says = [cut, 'No.'];
    const stream = streamText(asked());
    const deltas: string[] = [];
    const called: unknown[] = [];
    for await (const part of stream.fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'tool-input-delta') deltas.push(part.delta);
      if (part.type === 'tool-call') called.push({ input: part.input, invalid: part.invalid });
      expect(part.type).not.toBe('tool-result');
    }
    expect(deltas.join('')).toBe(cut.slice(49));
    expect(deltas.length).toBeGreaterThan(100);
    expect(called).toEqual([{ input: cut.slice(49), invalid: true }]);
    expect(await stream.text).toBe('No.');
  });

  const check = (): void => {
    expect(parts.serving.calls[1]?.request.prompt).toMatchObject({
      messages: [
        { role: 'user', content: 'Is Oslo warmer than Rome?' },
        {
          role: 'assistant',
          content: 'I look.',
          calls: [{ arguments: '{"city":"Oslo"}' }, { arguments: '{"city":"Rome"}' }],
        },
        { role: 'tool', content: expect.stringContaining('in Oslo') as string },
        { role: 'tool', content: expect.stringContaining('in Rome') as string },
      ],
    });
  };

  it('runs tools until there is an answer', async () => {
    const { text, steps } = await generateText(asked());
    expect(text).toBe('No.');
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop']);
    check();
  });

  it('runs them from a stream as well', async () => {
    const stream = streamText(asked());
    const inputs: unknown[] = [];
    let deltas = 0;
    for await (const part of stream.fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'tool-input-delta') deltas += 1;
      if (part.type === 'tool-call') inputs.push(part.input);
    }
    expect(deltas).toBeGreaterThan(20);
    expect(inputs).toEqual([{ city: 'Oslo' }, { city: 'Rome' }]);
    expect(await stream.text).toBe('No.');
    check();
  });
});

describe('the AI SDK, with thoughts', () => {
  let parts: FakeParts;
  let http: Awaited<ReturnType<typeof startHttp>>;
  beforeEach(async () => {
    parts = fakeParts();
    const { serving } = parts;
    const chat = { calls: 'none', parallel: true, thinks: true, effort: ['enable_thinking'] } as const;
    serving.base = { ...serving.base, chat };
    serving.says = ['<think>\nCold.\n</think>\n\n3 degrees.', 'Yes.'];
    http = await startHttp({ ...parts, address: '127.0.0.1:0' });
  });
  afterEach(async () => {
    await http.close(1000);
  });

  const asked = () => ({
    model: createOpenAI({ baseURL: `http://127.0.0.1:${http.port}/v1`, apiKey: 'unused' })('tiny'),
    maxRetries: 0,
    // It asks no model for thoughts that it does not know.
    providerOptions: { openai: { forceReasoning: true, reasoningEffort: 'low' } },
  });

  it('gets them where it asks for a summary, and refers to them in the next turn', async () => {
    const question = { role: 'user' as const, content: 'How warm is it?' };
    const { reasoningText, text, responseMessages } = await generateText({
      ...asked(),
      messages: [question],
    });
    expect([reasoningText, text]).toEqual(['Cold.', '3 degrees.']);
    const messages = [question, ...responseMessages, { role: 'user' as const, content: 'Sure?' }];
    expect((await generateText({ ...asked(), messages })).text).toBe('Yes.');
    expect(parts.serving.calls[1]?.request.prompt).toMatchObject({
      messages: [
        question,
        { role: 'assistant', content: '3 degrees.', reasoning: 'Cold.' },
        { role: 'user' },
      ],
      values: { enable_thinking: true },
    });
  });

  it('sees them as they come', async () => {
    const stream = streamText({ ...asked(), prompt: 'How warm is it?' });
    const deltas: string[] = [];
    for await (const part of stream.fullStream) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'reasoning-delta') deltas.push(part.text);
    }
    expect(deltas).toEqual(['C', 'o', 'l', 'd', '.']);
    expect(await stream.text).toBe('3 degrees.');
  });
});
