import { expect, test } from 'vitest';
import { generateRequest, grpcDefaults, type Options } from './options.ts';

const base = { name: 'tiny', digest: '', contextLength: 512, vocabSize: 100 } as const;
const request = (
  options: Options,
  prompt: Parameters<typeof generateRequest>[0] = { kind: 'text', text: 'x' },
) => generateRequest(prompt, options, grpcDefaults, base);

test('without options a request is greedy and short', () => {
  expect(request({})).toEqual({
    prompt: { kind: 'text', text: 'x' },
    maxTokens: 256,
    fitContext: true,
    sampling: { temperature: 0, topP: 1, topK: 0 },
    stop: [],
  });
});

test('the default length never exceeds a small context', () => {
  const small = { ...base, contextLength: 64 };
  expect(generateRequest({ kind: 'text', text: 'x' }, {}, grpcDefaults, small).maxTokens).toBe(64);
});

test.each<[string, Options, RegExp]>([
  ['max_tokens 0', { maxTokens: 0 }, /max_tokens is 0/],
  ['max_tokens above the context', { maxTokens: 513 }, /from 1 to 512/],
  ['max_tokens with a fraction', { maxTokens: 1.5 }, /whole number/],
  ['a temperature that is not a number', { temperature: Number.NaN }, /temperature is NaN/],
  ['a negative temperature', { temperature: -0.1 }, /temperature/],
  ['top_p 0', { topP: 0 }, /top_p is 0/],
  ['top_p above 1', { topP: 1.1 }, /top_p/],
  ['a negative top_k', { topK: -1 }, /top_k/],
  ['a seed that a number cannot hold', { seed: 2 ** 60 }, /seed/],
  ['too many stop strings', { stop: Array.from({ length: 17 }, () => 'x') }, /17 strings/],
  ['a stop string that is too long', { stop: ['x'.repeat(257)] }, /stop string/],
])('%s is refused by name', (_, options, message) => {
  expect(() => request(options)).toThrow(message);
});

test('an empty prompt and a token outside the vocabulary are refused', () => {
  expect(() => request({}, { kind: 'text', text: '' })).toThrow(/empty/);
  expect(() => request({}, { kind: 'ids', ids: [] })).toThrow(/empty/);
  expect(() => request({}, { kind: 'chat', messages: [] })).toThrow(/empty/);
  expect(() => request({}, { kind: 'ids', ids: [1, 100] })).toThrow(/token id 100/);
});

test('a prompt that cannot fit is refused before anything is turned into tokens', () => {
  const text = 'x'.repeat(512 * 16 + 1);
  for (const prompt of [
    { kind: 'text', text },
    { kind: 'chat', messages: [{ role: 'user', content: text }] },
    { kind: 'chat', messages: Array.from({ length: 513 }, () => ({ role: 'user', content: '' })) },
    { kind: 'ids', ids: Array.from({ length: 513 }, () => 1) },
  ] as const)
    expect(() => request({}, prompt)).toThrow(/the context holds 512 tokens/);
  expect(request({}, { kind: 'text', text: text.slice(1) }).prompt.kind).toBe('text');
});
