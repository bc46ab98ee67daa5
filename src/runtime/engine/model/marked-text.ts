import type { Decode } from './detokenizer.ts';
import type { TokenizerFile } from './tokenizer-config.ts';

/** What models write around thoughts and calls. In most vocabularies they are text, in some special tokens. */
const marks = new Set([
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<start_function_call>',
  '<end_function_call>',
  '<escape>',
]);

/** Text of tokens, those special ones in it that are marks. */
export const markedDecode = (decode: Decode, file: TokenizerFile): Decode => {
  const specials = file.added_tokens.filter(({ special, content }) => special && marks.has(content));
  if (specials.length === 0) return decode;
  const markOf = new Map(specials.map(({ id, content }) => [id, content]));
  return (ids) => {
    let text = '';
    let from = 0;
    for (const [at, id] of ids.entries()) {
      const mark = markOf.get(id);
      if (mark === undefined) continue;
      text += decode(ids.slice(from, at)) + mark;
      from = at + 1;
    }
    return text + decode(ids.slice(from));
  };
};

/** A <think> that a prompt ends with, and the white space after it; '' where it does not. */
export const openThoughts = (prompt: string): string => /<think>\s*$/.exec(prompt)?.[0] ?? '';
