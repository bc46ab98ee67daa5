import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, streamText } from 'ai';
import { describe, expect, it } from 'vitest';
import type { Target } from './target.ts';

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
