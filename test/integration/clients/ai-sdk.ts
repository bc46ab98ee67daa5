import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Target, ToolTarget } from './target.ts';

// It says of each completion that it has no tools.
globalThis.AI_SDK_LOG_WARNINGS = false;

/** What the unchanged AI SDK of Vercel must be able to do, with each of its three kinds of models of OpenAI. */
export const aiSdkClient = (of: () => Target): void => {
  const openai = () => createOpenAI({ baseURL: `${of().httpUrl}/v1`, apiKey: 'unused' });
  const asked = () => {
    const { prompt, maxTokens: maxOutputTokens } = of().sample;
    return { prompt, maxOutputTokens, temperature: 0, maxRetries: 0 };
  };

  describe('the AI SDK', () => {
    it.each(['chat', 'responses', 'completion'] as const)('%s: whole and streamed the same', async (kind) => {
      const model = openai()[kind](of().models.adapter);
      const whole = await generateText({ model, ...asked() });
      expect(whole.text.length).toBeGreaterThan(0);
      expect(whole.usage.outputTokens).toBeGreaterThan(0);
      expect(whole.finishReason).toMatch(/^(stop|length)$/);
      const stream = streamText({ model, ...asked() });
      expect((await Array.fromAsync(stream.textStream)).join('')).toBe(whole.text);
      expect(await stream.usage).toMatchObject({ outputTokens: whole.usage.outputTokens });
      expect(await stream.finishReason).toBe(whole.finishReason);
    });

    it('throws its own error class', async () => {
      const failed = generateText({ model: openai().responses('no-such-model'), ...asked() });
      const error: unknown = await failed.catch((caught: unknown) => caught);
      expect(APICallError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ statusCode: 404, message: expect.stringContaining('no-such-model') });
    });
  });
};

const order = z.object({
  count: z.int().min(1).max(9),
  side: z.object({ salt: z.boolean() }).nullable(),
});

/** What it must be able to do with schemas: of an answer, and of the input of a tool. */
export const aiSdkSchemas = (of: () => ToolTarget): void => {
  describe.each(['chat', 'responses'] as const)('the AI SDK, with schemas: %s', (kind) => {
    const asked = () => {
      const { httpUrl, model, prompt, maxTokens: maxOutputTokens } = of();
      return {
        model: createOpenAI({ baseURL: `${httpUrl}/v1`, apiKey: 'unused' })[kind](model),
        prompt,
        maxOutputTokens,
        temperature: 0,
        maxRetries: 0,
        // Nothing is stored, so that it sends what was said and not its id.
        providerOptions: { openai: { store: false } },
      };
    };

    it('gets an object, whole and streamed the same', async () => {
      const output = Output.object({ schema: order });
      const whole = (await generateText({ ...asked(), output })).output;
      expect(order.parse(whole)).toEqual(whole);
      const stream = streamText({ ...asked(), output });
      const parts = await Array.fromAsync(stream.partialOutputStream);
      expect(parts.length).toBeGreaterThan(2);
      expect(parts.at(-1)).toEqual(whole);
      expect(await stream.output).toEqual(whole);
    });

    it('gets one of several choices', async () => {
      const options = ['yes', 'no'];
      const { output } = await generateText({ ...asked(), output: Output.choice({ options }) });
      expect(options).toContain(output);
    });

    /** A tool that has to be called at first, and may not be later. */
    const calling = () => {
      const inputs: z.infer<typeof order>[] = [];
      const execute = (input: z.infer<typeof order>): string => {
        inputs.push(input);
        return ':';
      };
      const run = {
        ...asked(),
        tools: { order: tool({ inputSchema: order, execute }) },
        stopWhen: stepCountIs(2),
        prepareStep: ({ stepNumber }: { readonly stepNumber: number }) => ({
          toolChoice: stepNumber === 0 ? ('required' as const) : ('none' as const),
        }),
      };
      return { inputs, run };
    };

    it('runs a tool that has to be called, whole and streamed the same, and goes on behind it', async () => {
      const { inputs, run } = calling();
      const whole = await generateText(run);
      expect(whole.steps.map(({ toolCalls }) => toolCalls.length)).toEqual([1, 0]);
      expect(whole.steps[0]?.finishReason).toBe('tool-calls');
      expect(whole.text).toMatch(/./);
      const stream = streamText(run);
      const deltas: string[] = [];
      for await (const part of stream.fullStream) {
        if (part.type === 'error') throw part.error;
        if (part.type === 'tool-input-delta') deltas.push(part.delta);
      }
      expect(deltas.length).toBeGreaterThan(2);
      expect(await stream.text).toBe(whole.text);
      expect(inputs).toEqual([JSON.parse(deltas.join('')), inputs[0]]);
      expect(order.parse(inputs[0])).toEqual(inputs[0]);
    });
  });
};
