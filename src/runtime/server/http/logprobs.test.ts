import { describe, expect, it } from 'vitest';
import { dataLines, startFakeHttp as start } from '../testing/http-app.ts';
import { completionLogprobs, scoredFirst } from './logprobs.ts';

describe('log probabilities of a completion', () => {
  it('stand beside the tokens, with where these begin', async () => {
    const { post } = start();
    const body = { model: 'tiny', prompt: 'a\u{1F600}b', logprobs: 2 };
    const { choices } = (await (await post('/v1/completions', body)).json()) as { choices: object[] };
    expect(choices).toEqual([
      {
        index: 0,
        text: 'a\u{1F600}b',
        finish_reason: 'stop',
        logprobs: {
          tokens: ['a', '\u{1F600}', 'b'],
          token_logprobs: [-0.5, -0.5, -0.5],
          // The token that was taken is one of them: for `a` the second likeliest is `a` itself.
          top_logprobs: [{ a: -0.5 }, { '\u{1F600}': -0.5, a: -1.5 }, { b: -0.5, a: -1.5 }],
          text_offset: [0, 1, 2],
        },
      },
    ]);
    const lines = dataLines(await (await post('/v1/completions', { ...body, stream: true })).text());
    expect(lines.slice(0, 3)).toMatchObject([
      { choices: [{ text: 'a', logprobs: { tokens: ['a'], text_offset: [0] } }] },
      { choices: [{ text: '\u{1F600}', logprobs: { tokens: ['\u{1F600}'], text_offset: [1] } }] },
      { choices: [{ text: 'b', logprobs: { tokens: ['b'], text_offset: [2] } }] },
    ]);
    expect(lines[3]).toMatchObject({ choices: [{ logprobs: null, finish_reason: 'stop' }] });
  });
});

describe('a prompt that is told before its answer', () => {
  const body = { model: 'upper', prompt: 'a\u{1F600}b', max_tokens: 2, echo: true };

  it('has log probabilities of its tokens but the first, where they are asked for', async () => {
    const { post } = start();
    const told = {
      text: 'a\u{1F600}bA\u{1F600}',
      logprobs: {
        tokens: ['a', '\u{1F600}', 'b', 'A', '\u{1F600}'],
        token_logprobs: [null, -0.5, -0.5, -0.5, -0.5],
        top_logprobs: [null, { '\u{1F600}': -0.5 }, { b: -0.5 }, { A: -0.5 }, { '\u{1F600}': -0.5 }],
        text_offset: [0, 1, 2, 3, 4],
      },
    };
    const whole = (await (await post('/v1/completions', { ...body, logprobs: 1 })).json()) as object;
    expect(whole).toMatchObject({ choices: [told], usage: { prompt_tokens: 3, completion_tokens: 2 } });
    const lines = dataLines(
      await (await post('/v1/completions', { ...body, logprobs: 1, stream: true })).text(),
    );
    expect(lines.slice(0, 2)).toMatchObject([
      { choices: [{ text: 'a\u{1F600}bA', logprobs: { text_offset: [0, 1, 2, 3] } }] },
      { choices: [{ text: '\u{1F600}', logprobs: { tokens: ['\u{1F600}'], text_offset: [4] } }] },
    ]);
  });

  it('is told without them too, before each answer to each of several prompts', async () => {
    const { post } = start();
    const asked = { ...body, prompt: ['ab', 'cd'], n: 2 };
    const { choices } = (await (await post('/v1/completions', asked)).json()) as { choices: object[] };
    const said = ['abAB', 'abAB', 'cdCD', 'cdCD'];
    expect(choices).toMatchObject(said.map((text, index) => ({ index, text, logprobs: null })));
    const ids = { ...body, prompt: [97, 98] };
    expect(await (await post('/v1/completions', ids)).json()).toMatchObject({ choices: [{ text: 'abAB' }] });
    const not = { ...body, echo: false };
    expect(await (await post('/v1/completions', not)).json()).toMatchObject({
      choices: [{ text: 'A\u{1F600}' }],
    });
  });
});

describe('log probabilities of a chat', () => {
  const ask = { model: 'tiny', messages: [{ role: 'user', content: 'é' }], max_tokens: 1 };

  it('are those of each token, with its bytes, whole and streamed', async () => {
    const { post } = start();
    const body = { ...ask, logprobs: true, top_logprobs: 2 };
    const content = [
      {
        token: 'u',
        logprob: -0.5,
        bytes: [117],
        top_logprobs: [
          { token: 'u', logprob: -0.5, bytes: [117] },
          { token: 'a', logprob: -1.5, bytes: [97] },
        ],
      },
    ];
    const whole = (await (await post('/v1/chat/completions', body)).json()) as object;
    expect(whole).toMatchObject({ choices: [{ logprobs: { content, refusal: null } }] });
    const lines = dataLines(await (await post('/v1/chat/completions', { ...body, stream: true })).text());
    expect(lines[1]).toMatchObject({
      choices: [{ delta: { content: 'u' }, logprobs: { content, refusal: null } }],
    });
  });

  it('have none of the likeliest tokens when only logprobs is true, and are null when it is not', async () => {
    const { post } = start();
    const choiceOf = async (body: object): Promise<unknown> => {
      const { choices } = (await (await post('/v1/chat/completions', body)).json()) as { choices: unknown[] };
      return choices[0];
    };
    expect(await choiceOf({ ...ask, logprobs: true })).toMatchObject({
      logprobs: { content: [{ token: 'u', top_logprobs: [] }] },
    });
    expect(await choiceOf({ ...ask, logprobs: false, top_logprobs: 0 })).toMatchObject({ logprobs: null });
  });

  it('come with each token while its text is held back, and special tokens have no bytes', async () => {
    const { parts, post } = start();
    const generate = parts.serving.generate.bind(parts.serving);
    const taken = (id: number, bytes?: number[]) => ({
      id,
      token: bytes === undefined ? '<end>' : 'bytes:\\xc3',
      ...(bytes === undefined ? {} : { bytes }),
      logprob: -1,
      top: [],
    });
    parts.serving.generate = async (context, wanted, signal) => {
      const generation = await generate(context, wanted, signal);
      const events = async function* () {
        yield { kind: 'token' as const, ids: [1], text: '', logprobs: [taken(1, [0xc3])] };
        yield { kind: 'token' as const, ids: [2], text: 'é', logprobs: [taken(2, [0xa9])] };
        yield { kind: 'token' as const, ids: [3], text: '', logprobs: [taken(3)] };
        for await (const event of generation.events) if (event.kind === 'done') yield event;
      };
      return { ...generation, events: events() };
    };
    const lines = dataLines(
      await (await post('/v1/chat/completions', { ...ask, logprobs: true, stream: true })).text(),
    );
    expect(lines.slice(1, 4)).toMatchObject([
      { choices: [{ delta: { content: '' }, logprobs: { content: [{ bytes: [0xc3] }] } }] },
      { choices: [{ delta: { content: 'é' }, logprobs: { content: [{ bytes: [0xa9] }] } }] },
      { choices: [{ delta: { content: '' }, logprobs: { content: [{ token: '<end>', bytes: null }] } }] },
    ]);
  });
});

const token = (text: string | undefined) => ({
  id: 0,
  token: text ?? '<s>',
  ...(text === undefined ? {} : { bytes: [...Buffer.from(text)] }),
  logprob: -1,
  top: [],
});

it('counts characters of the text, also where the tokens of its prompt have a space more, or none of the text', () => {
  const { logprob: _, top: _top, ...first } = token(undefined);
  const prompt = [first, token(' ab'), token('é')];
  expect(completionLogprobs(scoredFirst([token('c')], { text: 'abé', tokens: prompt })).text_offset).toEqual([
    0, 0, 2, 3,
  ]);
  expect(completionLogprobs(scoredFirst([token('c')], { text: 'abé' })).text_offset).toEqual([3]);
  expect(completionLogprobs(scoredFirst([token('c')], undefined)).text_offset).toEqual([0]);
});
