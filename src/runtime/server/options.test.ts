import { describe, expect, it } from 'vitest';
import { generateRequest, grpcDefaults, type Options } from './options.ts';

const base = { name: 'tiny', digest: '', contextLength: 512, vocabSize: 100 } as const;
const request = (
  options: Options,
  prompt: Parameters<typeof generateRequest>[0] = { kind: 'text', text: 'x' },
) => generateRequest(prompt, options, grpcDefaults, base);

it('without options a request is greedy and short', () => {
  expect(request({})).toEqual({
    prompt: { kind: 'text', text: 'x' },
    maxTokens: 256,
    fitContext: true,
    sampling: { temperature: 0, topP: 1, topK: 0 },
    stop: [],
  });
});

it('what is asked for is passed on, and what is not asked for is absent', () => {
  const sampling = { minP: 0, repetitionPenalty: 1, frequencyPenalty: 2, presencePenalty: -2, seed: 0 };
  expect(request({ ...sampling, logitBias: { 99: -100 }, logprobs: 0, stopTokenIds: [99] })).toMatchObject({
    sampling: { ...sampling, logitBias: [[99, -100]] },
    logprobs: 0,
    stopTokenIds: [99],
  });
  expect(request({ minTokens: 256, ignoreEos: true, badWords: ['a', ' b'] })).toMatchObject({
    minTokens: 256,
    ignoreEos: true,
    badWords: ['a', ' b'],
  });
  const off = { logitBias: {}, stopTokenIds: [], minTokens: 0, ignoreEos: false, badWords: [] };
  expect(request(off)).toEqual(request({}));
});

it.each([-1, 0, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER])('%s is a seed as it is', (seed) => {
  expect(request({ seed }).sampling.seed).toBe(seed);
});

it('a seed of int64 that JSON rounds is one that has a next one, always the same', () => {
  for (const seed of [2 ** 63, -(2 ** 63), 2 ** 60 + 2 ** 12, -(2 ** 54) + 4]) {
    const taken = request({ seed }).sampling.seed;
    expect(taken).toSatisfy(Number.isSafeInteger);
    expect(request({ seed }).sampling.seed).toBe(taken);
  }
  expect(request({ seed: 2 ** 60 + 2 ** 12 }).sampling.seed).not.toBe(
    request({ seed: 2 ** 60 }).sampling.seed,
  );
});

describe('the length of an answer that nobody set a number for', () => {
  const prompt = { kind: 'text', text: 'x' } as const;
  const room = { tokens: 64, because: '', more: '' };
  const endless = { ...grpcDefaults, maxTokens: Infinity };

  it('never exceeds a small context', () => {
    const small = { ...base, contextLength: 64 };
    expect(generateRequest(prompt, {}, grpcDefaults, small).maxTokens).toBe(64);
  });

  it('is what there is room for, of a chat', () => {
    expect(generateRequest(prompt, {}, endless, base)).toMatchObject({ maxTokens: 512, fitContext: true });
    const unknown = { ...base, contextLength: 0 };
    expect(generateRequest(prompt, {}, endless, unknown).maxTokens).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('is less where more would keep others waiting, and a number that is asked for stays', () => {
    const appending = { ...base, room: { ...room, answerTokens: 100 } };
    expect(generateRequest(prompt, {}, endless, appending).maxTokens).toBe(100);
    expect(generateRequest(prompt, {}, { ...endless, maxTokens: 16 }, appending).maxTokens).toBe(16);
    expect(generateRequest(prompt, { maxTokens: 200 }, endless, appending).maxTokens).toBe(200);
  });
});

it.each<[string, Options, RegExp]>([
  ['max_tokens 0', { maxTokens: 0 }, /max_tokens is 0/],
  ['max_tokens above the context', { maxTokens: 513 }, /from 1 to 512/],
  ['max_tokens with a fraction', { maxTokens: 1.5 }, /whole number/],
  ['a temperature that is not a number', { temperature: Number.NaN }, /temperature is NaN/],
  ['a negative temperature', { temperature: -0.1 }, /temperature/],
  ['top_p 0', { topP: 0 }, /top_p is 0/],
  ['top_p above 1', { topP: 1.1 }, /top_p/],
  ['a negative top_k', { topK: -1 }, /top_k/],
  ['a seed beyond int64', { seed: 2 ** 64 }, /seed/],
  ['a seed that is not whole', { seed: 0.5 }, /seed/],
  ['min_p above 1', { minP: 1.1 }, /min_p is 1.1, it must be from 0 to 1/],
  ['repetition_penalty 0', { repetitionPenalty: 0 }, /repetition_penalty is 0, it must be above 0/],
  ['repetition_penalty above 10', { repetitionPenalty: 11 }, /repetition_penalty is 11/],
  ['frequency_penalty below -2', { frequencyPenalty: -2.1 }, /frequency_penalty is -2.1/],
  ['presence_penalty above 2', { presencePenalty: 3 }, /presence_penalty is 3, it must be from -2 to 2/],
  ['a presence_penalty that is not a number', { presencePenalty: Number.NaN }, /presence_penalty is NaN/],
  ['a bias of no token', { logitBias: { x: 1 } }, /logit_bias: "x" is not a token id/],
  ['a bias outside the vocabulary', { logitBias: { 100: 1 } }, /logit_bias: token id 100/],
  ['a bias above 100', { logitBias: { 1: 101 } }, /logit_bias of token 1 is 101/],
  [
    'too many biases',
    { logitBias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) },
    /1025 tokens/,
  ],
  ['logprobs above 20', { logprobs: 21 }, /logprobs is 21, it must be a whole number from 0 to 20/],
  ['a stop token outside the vocabulary', { stopTokenIds: [100] }, /stop_token_ids: token id 100/],
  ['too many stop tokens', { stopTokenIds: Array.from({ length: 17 }, () => 1) }, /17 tokens/],
  ['a negative min_tokens', { minTokens: -1 }, /min_tokens is -1/],
  ['min_tokens with a fraction', { minTokens: 0.5 }, /min_tokens is 0.5, it must be a whole number/],
  [
    'min_tokens above max_tokens',
    { minTokens: 9, maxTokens: 8 },
    /min_tokens is 9, it must be at most max_tokens, which is 8/,
  ],
  [
    'min_tokens above what is given unasked',
    { minTokens: 257 },
    /min_tokens is 257, and without max_tokens an answer has at most 256 tokens; send max_tokens/,
  ],
  ['too many bad words', { badWords: Array.from({ length: 1025 }, () => 'x') }, /1025 words/],
  ['a bad word that is too long', { badWords: ['x'.repeat(257)] }, /bad_words has more than 256/],
  ['too many characters of bad words', { badWords: Array(65).fill('x'.repeat(256)) }, /16640 characters/],
  ['an empty bad word', { badWords: ['x', ''] }, /bad_words is empty/],
  ['a bad word of spaces', { badWords: [' \n'] }, /bad_words is empty/],
  ['half of a character as a bad word', { badWords: ['a\uDE00'] }, /bad_words has half of a surrogate/],
  ['half of a character as a stop string', { stop: ['a\uDE00'] }, /surrogate/],
  ['too many stop strings', { stop: Array.from({ length: 17 }, () => 'x') }, /17 strings/],
  ['a stop string that is too long', { stop: ['x'.repeat(257)] }, /stop string/],
])('%s is refused by name', (_, options, message) => {
  expect(() => request(options)).toThrow(message);
});

it('an empty prompt and a token outside the vocabulary are refused', () => {
  expect(() => request({}, { kind: 'text', text: '' })).toThrow(/empty/);
  expect(() => request({}, { kind: 'ids', ids: [] })).toThrow(/empty/);
  expect(() => request({}, { kind: 'chat', messages: [] })).toThrow(/empty/);
  expect(() => request({}, { kind: 'ids', ids: [1, 100] })).toThrow(/token id 100/);
});

it('a prompt that has too many tokens for the memory, however they are cut, is refused with the numbers', () => {
  const room = {
    tokens: 100,
    because: ', as the memory for keys and values (--kv-memory) holds no more',
    more: '',
    maxTokenBytes: 8,
  };
  const small = { ...base, room };
  const ask = (text: string) => generateRequest({ kind: 'text', text }, {}, grpcDefaults, small);
  // Three bytes each: 99 tokens, or 100.
  expect(ask('\u4e00'.repeat(264)).prompt.kind).toBe('text');
  expect(() => ask('\u4e00'.repeat(265))).toThrow(
    /maximum context length is 100 tokens, as the memory for keys and values \(--kv-memory\) holds no more; the prompt has at least 100 tokens/,
  );
  const ids = Array.from({ length: 101 }, () => 1);
  expect(() => generateRequest({ kind: 'ids', ids }, {}, grpcDefaults, small)).toThrow(/101 tokens/);
  // A template may leave something out: only what no conversation comes near is refused.
  const chat = (content: string) =>
    generateRequest({ kind: 'chat', messages: [{ role: 'user', content }] }, {}, grpcDefaults, small);
  expect(chat(' '.repeat(1600)).prompt.kind).toBe('chat');
  expect(() => chat(' '.repeat(1601))).toThrow(
    /is 100 tokens, as the memory .*; the prompt has 1601 characters/,
  );
});

it('a prompt that cannot fit is refused before anything is turned into tokens', () => {
  const text = 'x'.repeat(512 * 16 + 1);
  for (const prompt of [
    { kind: 'text', text },
    { kind: 'chat', messages: [{ role: 'user', content: text }] },
    { kind: 'chat', messages: Array.from({ length: 513 }, () => ({ role: 'user', content: '' })) },
    { kind: 'ids', ids: Array.from({ length: 513 }, () => 1) },
  ] as const)
    expect(() => request({}, prompt)).toThrow(
      /This model's maximum context length is 512 tokens; the prompt has/,
    );
  expect(request({}, { kind: 'text', text: text.slice(1) }).prompt.kind).toBe('text');
});
