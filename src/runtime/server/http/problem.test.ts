import { describe, expect, it } from 'vitest';
import { promptTooLong } from '../../engine/failures.ts';
import { dataLines, startFakeHttp as start } from '../testing/http-app.ts';

describe('a prompt that is too long', () => {
  const ids = Array.from({ length: 3000 }, () => 97);
  const told = {
    type: 'invalid_request_error',
    code: 'context_length_exceeded',
    message: expect.stringMatching(
      /^This model's maximum context length is 2048 tokens; the prompt has 3000 tokens/,
    ),
  };

  it('has the code and the words by which clients of OpenAI and vLLM shorten it and try again', async () => {
    const { post } = start();
    const response = await post('/v1/completions', { model: 'sql', prompt: [[97], ids] });
    expect([response.status, response.headers.get('x-adaptlet-error')]).toEqual([400, 'PROMPT_TOO_LONG']);
    expect(await response.json()).toMatchObject({ error: told });
  });

  it.each([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }],
    ['/v1/responses', { input: 'a' }],
  ])('has them where the engine finds it: %s', async (path, body) => {
    const { parts, post } = start();
    const room = { tokens: 2048, because: '', more: '' };
    parts.serving.failure = { error: promptTooLong('the prompt has 3000 tokens', room) };
    const response = await post(path, { model: 'sql', ...body });
    expect([response.status, await response.json()]).toMatchObject([400, { error: told }]);
  });

  it('has them in the last line of a stream that had begun', async () => {
    const { parts, post } = start();
    const room = { tokens: 2048, because: '', more: '' };
    parts.serving.failure = { error: promptTooLong('the prompt has 3000 tokens', room), afterTokens: 1 };
    const response = await post('/v1/completions', { model: 'sql', prompt: ['a', 'bc'], stream: true });
    expect(dataLines(await response.text()).at(-1)).toMatchObject({ error: told });
  });

  it('keeps its own code with the Open Inference Protocol', async () => {
    const { post } = start();
    const inputs = [{ name: 'input_ids', shape: [1, 3000], datatype: 'INT64', data: ids }];
    const response = await post('/v2/models/upper/infer', { inputs });
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'prompt_too_long' }]);
  });
});
