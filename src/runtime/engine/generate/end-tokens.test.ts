import { describe, expect, it } from 'vitest';
import type { GenerateInput } from '../engine.ts';
import type { WordTokens } from '../model/word-tokens.ts';
import { endTokens } from './end-tokens.ts';

const eosIds = new Set([1, 2]);
const structure = { kind: 'regex', source: 'a*' } as const;
/** What ends an answer, and what may not come as its first and as its third token. */
const told = (more: Partial<GenerateInput>, words: WordTokens = []) => {
  const input = { stop: [], ...more } as Partial<GenerateInput> as GenerateInput;
  const { endIds, bans } = endTokens(input, eosIds, words, { describe: (id) => ({ token: `<${id}>` }) });
  const first = bans?.next()?.last;
  bans?.took(9);
  bans?.took(9);
  return { ends: [...endIds], first, third: bans?.next()?.last };
};

describe('tokens that end an answer', () => {
  it.each<[string, Partial<GenerateInput>, ReturnType<typeof told>]>([
    ['are those of the model', {}, { ends: [1, 2], first: undefined, third: undefined }],
    ['are stop tokens', { stopTokenIds: [7] }, { ends: [1, 2, 7], first: undefined, third: undefined }],
    [
      'are held back, stop tokens too',
      { stopTokenIds: [7], minTokens: 2 },
      { ends: [1, 2, 7], first: [[7], [1, 2]], third: undefined },
    ],
    [
      'are none where they are ignored',
      { ignoreEos: true },
      { ends: [], first: undefined, third: undefined },
    ],
    [
      'are stop tokens where the others are ignored, also of the model',
      { ignoreEos: true, stopTokenIds: [7, 2] },
      { ends: [7, 2], first: undefined, third: undefined },
    ],
    [
      'are held back where they are ignored, as in vLLM',
      { ignoreEos: true, stopTokenIds: [7], minTokens: 2 },
      { ends: [7], first: [[7], [1, 2]], third: undefined },
    ],
    [
      'stay ends of a structure, as late as it lets them',
      { ignoreEos: true, stopTokenIds: [7, 2], structure },
      { ends: [1, 2, 7], first: [[1]], third: [[1]] },
    ],
    [
      'are held back in a structure',
      { minTokens: 2, structure },
      { ends: [1, 2], first: [[], [1, 2]], third: undefined },
    ],
  ])('%s', (_, more, expected) => {
    expect(told(more)).toEqual(expected);
  });

  it.each<[string, Partial<GenerateInput>, WordTokens]>([
    ['alone', {}, [[7], [2]]],
    ['as the last token of a word', {}, [[7, 1]]],
    ['of a structure', { ignoreEos: true, structure }, [[2]]],
    ['that is a stop token as well', { ignoreEos: true, stopTokenIds: [2] }, [[2]]],
  ])('cannot be bad words: %s', (_, more, words) => {
    const advice = more.ignoreEos === true ? 'in spite of ignore_eos' : 'Send ignore_eos';
    const message = expect.stringMatching(
      new RegExp(`bad_words has <[12]>, an end token of the model.*${advice}`),
    );
    expect(() => told(more, words)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID', message }));
  });

  it('can be bad words where they end nothing, and before another token', () => {
    expect(told({ ignoreEos: true }, [[2]]).ends).toEqual([]);
    expect(told({}, [[2, 7]]).ends).toEqual([1, 2]);
  });
});
