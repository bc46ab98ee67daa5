import { expect, it } from 'vitest';
import { startFakeHttp as start } from '../testing/http-app.ts';

it('penalties, min_p, logit_bias, stop tokens, min_tokens, ignore_eos and bad_words reach the generation', async () => {
  const { parts, post } = start();
  const response = await post('/v1/completions', {
    model: 'sql',
    prompt: 'a',
    min_p: 0.1,
    repetition_penalty: 1.2,
    frequency_penalty: 0.5,
    presence_penalty: -2,
    logit_bias: { 65: -100, 66: 2.5 },
    stop_token_ids: [7],
    min_tokens: 3,
    ignore_eos: true,
    bad_words: ['red', 'dog'],
  });
  expect(response.status).toBe(200);
  const { request } = parts.serving.calls[0]!;
  expect(request.sampling).toEqual({
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0.1,
    repetitionPenalty: 1.2,
    frequencyPenalty: 0.5,
    presencePenalty: -2,
    logitBias: [
      [65, -100],
      [66, 2.5],
    ],
  });
  expect(request).toMatchObject({
    stopTokenIds: [7],
    minTokens: 3,
    ignoreEos: true,
    badWords: ['red', 'dog'],
  });
  expect(request).not.toHaveProperty('logprobs');
});

it.each([
  ['/v1/completions', { prompt: 'a' }],
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }],
  ['/v1/responses', { input: 'a' }],
])("vLLM's -1 of top_k is off, and a seed may be negative: %s", async (path, body) => {
  const { parts, post } = start();
  expect((await post(path, { model: 'sql', ...body, top_k: -1, seed: -7 })).status).toBe(200);
  expect(parts.serving.calls[0]?.request.sampling).toMatchObject({ topK: 0, seed: -7 });
  const refused = await post(path, { model: 'sql', ...body, top_k: -2 });
  expect(await refused.json()).toHaveProperty('error.message', expect.stringContaining('top_k is -2'));
});

it('a chat without a limit may have what there is room for', async () => {
  const { parts, post } = start();
  const messages = [{ role: 'user', content: 'a' }];
  await post('/v1/chat/completions', { model: 'sql', messages });
  await post('/v1/chat/completions', { model: 'sql', messages, max_tokens: null });
  const { contextLength } = parts.serving.base;
  for (const { request } of parts.serving.calls)
    expect(request).toMatchObject({ maxTokens: contextLength, fitContext: true });
  expect(parts.serving.calls).toHaveLength(2);
});
