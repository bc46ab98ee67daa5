import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { python } from '../../tools/python.ts';
import type { Target } from './target.ts';

const run = promisify(execFile);

export type Seen = Readonly<Record<string, unknown>>;

/** What a script of this folder saw. */
export const seenBy = async (executable: string, script: string, args: readonly string[]): Promise<Seen> => {
  const file = join(import.meta.dirname, script);
  const { stdout } = await run(executable, [file, ...args], { timeout: 90_000 });
  return JSON.parse(stdout) as Seen;
};

/** What an unchanged OpenAI client of Python must be able to do. `executable`: a Python that has it. */
export const openaiPythonClient = (of: () => Target, executable: string): void => {
  describe('the openai client of Python', () => {
    let seen: Seen;
    beforeAll(async () => {
      const { httpUrl, models, sample } = of();
      const asked = [
        models.adapter,
        models.rollout,
        'no-such-model',
        sample.prompt,
        String(sample.maxTokens),
      ];
      seen = await seenBy(executable, 'openai-check.py', [`${httpUrl}/v1`, ...asked]);
    }, 100_000);

    it('lists the models with what they are made on', () => {
      const { base, adapter } = of().models;
      expect(seen).toMatchObject({ models: { [adapter]: base, [base]: null }, model: adapter });
    });

    it('completes: several answers, with log probabilities, whole and streamed', () => {
      const { completions } = seen as { completions: Seen & { texts: string[]; streamed: string } };
      const { adapter } = of().sample;
      expect(completions.texts.map((text) => text.trim())).toEqual([adapter, adapter]);
      expect(completions.streamed.trim()).toBe(adapter);
      expect(completions['logprobs']).toBeGreaterThan(0);
      expect(completions['adapter']).toBe(of().models.adapter);
      expect(completions).toHaveProperty('streamed_usage.completion_tokens');
      const [requestId, own] = completions['request_id'] as string[];
      expect(requestId).toBe(own);
    });

    it('tells the prompt before its answer, with log probabilities of its tokens', () => {
      const { told_prompt: told } = seen as { told_prompt: Seen & { scores: number[]; tokens: string[] } };
      const { tokens, scores } = told;
      expect(told).toMatchObject({ text: tokens.join(''), first: [null, null], tops: tokens.at(-1) });
      expect(told['streamed']).toEqual([told['text'], scores]);
      expect(told['offsets']).toEqual(tokens.map((_, at) => tokens.slice(0, at).join('').length));
      expect(scores.length).toBe(tokens.length - 1);
      expect(Math.max(...scores)).toBeLessThanOrEqual(0);
      // The answer is as likely where it is part of a prompt.
      expect(told['answer_as_prompt']).toBeCloseTo(scores.at(-1)!, 3);
    });

    it('completes a list of prompts, each as it does alone', () => {
      const { several_prompts: several } = seen as { several_prompts: Seen & { alone: string[] } };
      expect(several).toMatchObject({ texts: several.alone, streamed: several.alone, indices: [0, 1] });
      const [alone, together] = several['prompt_tokens'] as number[];
      expect(together).toBe(alone);
    });

    it('chats: several answers, and by its streaming helper', () => {
      const { chats } = seen as { chats: Seen & { texts: string[]; stopped: string } };
      const { texts, stopped } = chats;
      const [first = ''] = texts;
      expect(texts).toEqual([first, first]);
      expect(first.startsWith(stopped) && first !== stopped).toBe(true);
      expect(chats).toMatchObject({ deltas: stopped, final: stopped, finish_reason: 'stop' });
      expect(chats['logprobs']).toBeGreaterThan(0);
    });

    it('has responses, whole and by its streaming helper', () => {
      const { responses } = seen as { responses: Seen & { types: string[]; text: string; stopped: string } };
      const { types, text, stopped } = responses;
      expect(responses['last_event']).toBe(`response.${String(responses['status'])}`);
      expect(text.startsWith(stopped) && text !== stopped).toBe(true);
      expect(responses['final']).toBe(stopped);
      expect([types[0], types.at(-1)]).toEqual(['response.created', 'response.completed']);
      expect(responses).toHaveProperty('usage.output_tokens');
    });

    it("takes vLLM's min_tokens, ignore_eos and bad_words", () => {
      const { ends, responses } = seen as {
        ends: Seen & Record<'text' | 'response', string>;
        responses: Seen;
      };
      const { adapter } = of().sample;
      const [first, second] = ends['texts'] as string[];
      expect(second).toBe(first);
      expect(ends.text.trim().startsWith(adapter)).toBe(true);
      expect(ends.response.startsWith(String(responses['text']))).toBe(true);
      expect(ends['too_many']).toMatchObject({
        status: 400,
        code: 'request_invalid',
        message: expect.stringMatching(/min_tokens is/),
      });
    });

    it('does the same asynchronously', () => {
      const { async: later, chats, responses } = seen as Record<'async' | 'chats' | 'responses', Seen>;
      const [first] = chats['texts'] as string[];
      expect(later).toEqual({
        texts: [first, first, first, first],
        streamed: first,
        response: responses['text'],
        error: 'NotFoundError',
      });
    });

    it('raises its own error classes, with code and field', () => {
      expect(seen).toMatchObject({
        unknown: { class: 'NotFoundError', status: 404, code: 'model_not_found' },
        best_of: { class: 'BadRequestError', status: 400, param: 'best_of' },
        stored: { class: 'BadRequestError', status: 400, param: 'previous_response_id' },
        too_long: {
          class: 'BadRequestError',
          status: 400,
          code: 'context_length_exceeded',
          param: 'prompt.1',
          message: expect.stringMatching(/maximum context length is \d+ tokens/),
          request_id: 'req-1',
        },
        made_up: { class: 'BadRequestError', status: 400, param: 'temperatur' },
      });
    });
  });
};

/** What unchanged langchain-openai must be able to do. */
export const langchainClient = (of: () => Target, executable: string): void => {
  describe('langchain-openai', () => {
    it('chats, completes and responds, whole, streamed, in batches and asynchronously', async () => {
      const { httpUrl, models, sample } = of();
      const asked = [models.adapter, sample.prompt, String(sample.maxTokens)];
      const seen = await seenBy(executable, 'langchain-check.py', [`${httpUrl}/v1`, ...asked]);
      const { chat, text, usage } = seen as { chat: string; text: string; usage: Seen };
      const outputTokens = usage['output_tokens'];
      expect(outputTokens).toBeGreaterThan(0);
      expect(seen).toMatchObject({
        streamed: { text: chat, usage: { output_tokens: outputTokens } },
        batch: [chat, chat],
        async: chat,
        several: [chat, chat],
        responses: chat,
        responses_streamed: chat,
        text_streamed: text,
        text_batch: [text, text],
        fingerprint: expect.stringMatching(/^sha256:/),
        finish_reason: expect.stringMatching(/^(stop|length)$/),
      });
      expect(text.trim()).toBe(sample.adapter);
    }, 100_000);
  });
};

/** A Python with both, or undefined when the machine has no python3. */
export const openaiPython = (): Promise<string | undefined> =>
  python(['openai==3.57.0', 'langchain-openai==1.7.4']);
