import { describe, expect, it } from 'vitest';
import { Detokenizer } from './detokenizer.ts';
import { markedDecode, openThoughts } from './marked-text.ts';
import type { TokenizerFile } from './tokenizer-config.ts';

const token = (id: number, content: string, special: boolean) => ({
  id,
  content,
  special,
  single_word: false,
});

/** One token for each letter, special ones without a text. */
const decode = (ids: readonly number[]): string =>
  ids.map((id) => (id < 97 ? '' : String.fromCodePoint(id))).join('');

describe('marks that are special tokens', () => {
  const file: TokenizerFile = {
    added_tokens: [token(1, '<tool_call>', true), token(2, '</tool_call>', true), token(3, '<|end|>', true)],
  };
  const marked = markedDecode(decode, file);

  it('are in the text, and no others', () => {
    expect(marked([97, 1, 98, 3, 99, 2])).toBe('a<tool_call>bc</tool_call>');
    expect(marked([])).toBe('');
  });

  it('come in a stream as well', () => {
    const ids = [97, 1, 98, 2, 3, 1, ...Array.from({ length: 40 }, () => 99), 2];
    const detokenizer = new Detokenizer(marked, [98, 1]);
    expect(ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush()).toBe(marked(ids));
  });
});

it('marks that are text are decoded as they are', () => {
  expect(markedDecode(decode, { added_tokens: [token(1, '<tool_call>', false)] })).toBe(decode);
});

it.each([
  ['<|im_start|>assistant\n<think>\n', '<think>\n'],
  ['a<think>', '<think>'],
  ['<think>\n\n</think>\n\n', ''],
  ['<think> a', ''],
  ['', ''],
])('a prompt that ends with %j has opened %j', (prompt, opened) => {
  expect(openThoughts(prompt)).toBe(opened);
});
