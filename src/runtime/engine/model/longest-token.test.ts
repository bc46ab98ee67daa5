import { describe, expect, it } from 'vitest';
import { longestToken } from './longest-token.ts';
import type { TokenizerConfig, TokenizerFile } from './tokenizer-config.ts';

/** A character for each byte. */
const bytes = Object.fromEntries(
  Array.from({ length: 256 }, (_, at) => [String.fromCodePoint(0x100 + at), at]),
);
const byteLevel = { type: 'ByteLevel', add_prefix_space: false };
const file = (more: Partial<TokenizerFile> = {}): TokenizerFile => ({
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: byteLevel,
  decoder: null,
  model: { type: 'BPE', vocab: { ...bytes, abcde: 300 }, merges: [] },
  ...more,
});
const longest = (more: Partial<TokenizerFile>, config: object = {}) =>
  longestToken(file(more), config as TokenizerConfig);
const added = (content: string, more: object = {}) => ({
  id: 400,
  content,
  special: true,
  single_word: false,
  ...more,
});

describe('the bytes that one token stands for at most', () => {
  it('are those of the longest token, added ones included', () => {
    expect(longest({})).toBe(5);
    expect(longest({ added_tokens: [added('<|\u4e00\u4e00|>')] })).toBe(10);
  });

  it('are three times as many where characters are composed before', () => {
    expect(longest({ normalizer: { type: 'NFC' } })).toBe(15);
  });

  it('are not known where a text can become shorter before it is cut', () => {
    for (const type of ['NFKC', 'Lowercase', 'Strip', 'Replace', 'BertNormalizer'])
      expect(longest({ normalizer: { type } })).toBeUndefined();
    expect(longest({ pre_tokenizer: { type: 'Whitespace' } })).toBeUndefined();
    const removing = { type: 'Split', behavior: 'Removed', pattern: { String: ' ' } };
    const isolating = { ...removing, behavior: 'Isolated' };
    const both = (part: typeof removing) => ({ type: 'Sequence', pretokenizers: [part, byteLevel] });
    expect(longest({ pre_tokenizer: both(removing) })).toBeUndefined();
    expect(longest({ pre_tokenizer: both(isolating) })).toBe(5);
    expect(longest({ pre_tokenizer: isolating })).toBeUndefined();
    expect(longest({}, { remove_space: true })).toBeUndefined();
  });

  it('are not known where one token takes the spaces beside it, or a byte has none', () => {
    expect(longest({ added_tokens: [added('<mask>', { lstrip: true })] })).toBeUndefined();
    expect(longest({ added_tokens: [added('<|end|>', { rstrip: true })] })).toBeUndefined();
    expect(longest({ model: { type: 'BPE', vocab: { a: 1, abcde: 2 }, merges: [] } })).toBeUndefined();
    expect(longest({ model: { type: 'WordPiece', vocab: bytes } })).toBeUndefined();
    expect(longest({ pre_tokenizer: null })).toBeUndefined();
  });
});
