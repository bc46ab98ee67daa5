import { BadRequestError, NotFoundError, OpenAI } from 'openai';
import { describe, expect, it } from 'vitest';
import type { Target } from './target.ts';

/** What the official OpenAI client must be able to do with the Responses API. Needs a base model with a chat template. */
export const openaiResponses = (of: () => Target): void => {
  const client = (): OpenAI => new OpenAI({ baseURL: `${of().httpUrl}/v1`, apiKey: 'unused', maxRetries: 0 });
  const body = () => ({
    model: of().models.adapter,
    input: of().sample.prompt,
    max_output_tokens: of().sample.maxTokens,
    temperature: 0,
  });

  describe('the openai client, with responses', () => {
    it('gets a text, and sees what made it', async () => {
      const request = client().responses.create({
        ...body(),
        instructions: 'be brief',
        metadata: { a: 'b' },
      });
      const { data, response } = await request.withResponse();
      expect(data.output_text.length).toBeGreaterThan(0);
      expect(data).toMatchObject({ object: 'response', error: null, metadata: { a: 'b' } });
      expect(['completed', 'incomplete']).toContain(data.status);
      expect(data.usage?.output_tokens).toBeGreaterThan(0);
      expect(response.headers.get('x-adaptlet-adapter')).toBe(of().models.adapter);
    });

    it('streams by its helper to the same text', async () => {
      const whole = await client().responses.create(body());
      const stream = client().responses.stream(body());
      let text = '';
      const types: string[] = [];
      for await (const event of stream) {
        types.push(event.type);
        if (event.type === 'response.output_text.delta') text += event.delta;
      }
      expect(text).toBe(whole.output_text);
      expect(types[0]).toBe('response.created');
      expect(types.at(-1)).toBe(`response.${whole.status}`);
      const final = await stream.finalResponse();
      expect(final.output_text).toBe(whole.output_text);
      expect(final.usage?.output_tokens).toBe(whole.usage?.output_tokens);
    });

    it('sends an answer back as a turn of the conversation', async () => {
      const first = await client().responses.create(body());
      const input = [
        { role: 'user' as const, content: of().sample.prompt },
        ...first.output,
        { role: 'user' as const, content: of().sample.prompt },
      ];
      const next = await client().responses.create({ ...body(), input: input as never });
      expect(next.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? Infinity);
    });

    it('gets log probabilities of the text', async () => {
      const asked = { include: ['message.output_text.logprobs' as const], top_logprobs: 2 };
      const { output, output_text, usage } = await client().responses.create({ ...body(), ...asked });
      const [part] = output.flatMap((item) => (item.type === 'message' ? item.content : []));
      if (part?.type !== 'output_text') throw new Error('the answer is no text');
      const tokens = part.logprobs ?? [];
      expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes)).toString('utf8')).toBe(output_text);
      expect(tokens).toHaveLength(usage?.output_tokens ?? 0);
    });

    it('throws its own error classes, with the field', async () => {
      const ask = (more: object) => client().responses.create({ ...body(), ...more } as never);
      await expect(ask({ model: 'no-such-model' })).rejects.toBeInstanceOf(NotFoundError);
      const refused = ask({ previous_response_id: 'resp_1' });
      await expect(refused).rejects.toBeInstanceOf(BadRequestError);
      await expect(refused).rejects.toMatchObject({ param: 'previous_response_id' });
    });

    it('can leave a stream', async () => {
      const stream = await client().responses.create({ ...body(), stream: true });
      for await (const _ of stream) break;
      expect(stream.controller.signal.aborted).toBe(true);
    });
  });
};
