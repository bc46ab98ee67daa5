import { BadRequestError, NotFoundError, OpenAI } from 'openai';
import { describe, expect, it } from 'vitest';
import type { Target } from './target.ts';

/** What the official OpenAI client must be able to do, unchanged. */
export const openaiClient = (of: () => Target): void => {
  const client = (): OpenAI => new OpenAI({ baseURL: `${of().httpUrl}/v1`, apiKey: 'unused', maxRetries: 0 });
  const greedy = () => ({ max_tokens: of().sample.maxTokens, temperature: 0 });

  describe('the openai client', () => {
    it('completes a prompt with the adapter that a rollout serves, and with the base model', async () => {
      const { models, sample } = of();
      for (const [model, expected] of [
        [models.rollout, sample.adapter],
        [models.adapter, sample.adapter],
        [models.base, sample.base],
      ] as const) {
        const { choices, usage } = await client().completions.create({
          model,
          prompt: sample.prompt,
          ...greedy(),
        });
        expect(choices[0]?.text.trim()).toBe(expected);
        expect(usage?.completion_tokens).toBeGreaterThan(0);
      }
    });

    it('sees in the headers what served', async () => {
      const { models, sample } = of();
      const request = client().completions.create({
        model: models.rollout,
        prompt: sample.prompt,
        ...greedy(),
      });
      const { response } = await request.withResponse();
      expect(response.headers.get('x-adaptlet-adapter')).toBe(models.adapter);
      expect(response.headers.get('x-adaptlet-rollout')).toBe(models.rollout);
      expect(response.headers.get('x-adaptlet-digest')).toMatch(/^sha256:[0-9a-f]{64}$/);
    });

    it('streams a completion that adds up to the whole one', async () => {
      const { models, sample } = of();
      const stream = await client().completions.create({
        model: models.adapter,
        prompt: sample.prompt,
        ...greedy(),
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let tokens: number | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.text ?? '';
        tokens = chunk.usage?.completion_tokens ?? tokens;
      }
      expect(text.trim()).toBe(sample.adapter);
      expect(tokens).toBeGreaterThan(0);
    });

    it('gets the log probabilities of the tokens of a completion', async () => {
      const { models, sample } = of();
      const { choices } = await client().completions.create({
        model: models.base,
        prompt: sample.prompt,
        ...greedy(),
        logprobs: 2,
      });
      const { logprobs, text } = choices[0]!;
      const { tokens = [], token_logprobs = [], top_logprobs = [], text_offset = [] } = logprobs ?? {};
      expect(tokens.join('').startsWith(text)).toBe(true);
      expect(text_offset.map((at, index) => text.slice(at, text_offset[index + 1])).join('')).toBe(text);
      for (const [index, logprob] of token_logprobs.entries()) {
        expect(logprob).toBeLessThanOrEqual(0);
        // Greedy: the token is the likeliest one.
        expect(Math.max(...Object.values(top_logprobs[index] ?? {}))).toBe(logprob);
        expect(top_logprobs[index]?.[tokens[index] ?? '']).toBe(logprob);
      }
      expect(token_logprobs.length).toBeGreaterThan(0);
    });

    it('gets several answers of one version, whole and streamed', async () => {
      const { models, sample } = of();
      const asked = { model: models.rollout, prompt: sample.prompt, ...greedy(), n: 3, seed: 1 };
      const { choices, usage } = await client().completions.create(asked);
      expect(choices.map(({ index, text }) => [index, text.trim()])).toEqual(
        [0, 1, 2].map((index) => [index, sample.adapter]),
      );
      const texts = ['', '', ''];
      const options = { stream: true, stream_options: { include_usage: true } } as const;
      let tokens: number | undefined;
      for await (const chunk of await client().completions.create({ ...asked, ...options })) {
        for (const { index, text } of chunk.choices) texts[index] += text;
        tokens = chunk.usage?.completion_tokens ?? tokens;
      }
      expect(texts).toEqual(choices.map(({ text }) => text));
      expect(tokens).toBe(usage?.completion_tokens);
    });

    it('gets answers to several prompts in their order, whole and streamed', async () => {
      const { models, sample } = of();
      const asked = { model: models.rollout, prompt: [sample.prompt, sample.prompt], ...greedy(), n: 2 };
      const whole = await client().completions.create(asked);
      expect(whole.choices.map(({ index, text }) => [index, text.trim()])).toEqual(
        [0, 1, 2, 3].map((index) => [index, sample.adapter]),
      );
      const texts = ['', '', '', ''];
      for await (const chunk of await client().completions.create({ ...asked, stream: true }))
        for (const { index, text } of chunk.choices) texts[index] += text;
      expect(texts).toEqual(whole.choices.map(({ text }) => text));
    });

    it('lists the models, and finds one by its name', async () => {
      const ids: string[] = [];
      for await (const model of client().models.list()) ids.push(model.id);
      const { models } = of();
      expect(ids).toEqual(expect.arrayContaining([models.base, models.adapter, models.rollout]));
      expect(await client().models.retrieve(models.adapter)).toMatchObject({
        id: models.adapter,
        object: 'model',
        parent: models.base,
      });
    });

    it('throws its own error classes', async () => {
      const { models, sample } = of();
      const ask = (body: object) =>
        client().completions.create({ model: models.base, prompt: sample.prompt, ...body } as never);
      await expect(ask({ model: 'no-such-model' })).rejects.toBeInstanceOf(NotFoundError);
      await expect(ask({ best_of: 2 })).rejects.toBeInstanceOf(BadRequestError);
      await expect(ask({ temperature: 9 })).rejects.toMatchObject({
        status: 400,
        type: 'invalid_request_error',
      });
    });

    it('can leave a stream', async () => {
      const { models, sample } = of();
      const stream = await client().completions.create({
        model: models.base,
        prompt: sample.prompt,
        ...greedy(),
        stream: true,
      });
      for await (const _ of stream) break;
      expect(stream.controller.signal.aborted).toBe(true);
    });
  });
};

/** Chat needs a base model with a chat template. */
export const openaiChat = (of: () => Target): void => {
  const client = (): OpenAI => new OpenAI({ baseURL: `${of().httpUrl}/v1`, apiKey: 'unused', maxRetries: 0 });

  const body = () => ({
    model: of().models.adapter,
    messages: [{ role: 'user' as const, content: of().sample.prompt }],
    max_completion_tokens: of().sample.maxTokens,
    temperature: 0,
  });

  describe('the openai client, chatting', () => {
    it('gets a message, whole and streamed the same', async () => {
      const whole = await client().chat.completions.create(body());
      expect(whole.choices[0]?.message).toMatchObject({ role: 'assistant' });
      const streamed = client().chat.completions.stream(body());
      expect((await streamed.finalMessage()).content).toBe(whole.choices[0]?.message.content);
    });

    it('gets log probabilities whose bytes are the message, whole and streamed the same', async () => {
      const scored = { ...body(), logprobs: true, top_logprobs: 3 };
      const whole = await client().chat.completions.create(scored);
      const { logprobs, message } = whole.choices[0]!;
      const content = logprobs?.content ?? [];
      const bytes = content.flatMap((token) => token.bytes ?? []);
      expect(Buffer.from(bytes).toString('utf8')).toBe(message.content);
      expect(content).toHaveLength(whole.usage?.completion_tokens ?? 0);
      for (const { logprob, top_logprobs } of content) {
        expect(top_logprobs).toHaveLength(3);
        expect(top_logprobs[0]?.logprob).toBe(logprob);
      }
      const streamed = await client().chat.completions.stream(scored).finalChatCompletion();
      // Tokens that were guessed are checked several in a step, which rounds in another order.
      const near = (value: number) => expect.closeTo(value, 4) as number;
      expect(streamed.choices[0]?.logprobs?.content).toEqual(
        content.map((token) => ({
          ...token,
          logprob: near(token.logprob),
          top_logprobs: token.top_logprobs.map((other) => ({ ...other, logprob: near(other.logprob) })),
        })),
      );
    });
  });
};
