import type { TextCodec } from './tokenizer.ts';

/** Tokens of a word, one list for each of its forms. */
export type WordTokens = readonly (readonly number[])[];

/**
 * Tokens of words as a text may have them: at its beginning, and after a space. vLLM takes the second form only where it has as many
 * tokens as the first, and so lets a word of two tokens come that is one token after a space.
 */
export const wordTokens = (words: readonly string[], codec: Pick<TextCodec, 'encodePart'>): WordTokens =>
  words
    .flatMap((word) => [word.trimStart(), ` ${word.trimStart()}`])
    .map((form) => codec.encodePart(form))
    .filter(({ length }) => length > 0);
