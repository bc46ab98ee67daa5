import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detokenizer } from '../../src/runtime/engine/model/detokenizer.ts';
import type { TextCodec } from '../../src/runtime/engine/model/tokenizer.ts';
import { encodings, families, openedFamilies, openedTokenizers } from './support/tokenizers.ts';

/** Pieces of a stream, and the rest at its end. */
const stream = (detokenizer: Detokenizer, ids: readonly number[]): string[] => [
  ...ids.map((id) => detokenizer.push(id)),
  detokenizer.flush(),
];

/** What is streamed is the text of all tokens, and no piece holds half a character. */
const expectWhole = (codec: TextCodec, ids: readonly number[]): void => {
  const pieces = stream(new Detokenizer((window) => codec.decode(window)), ids);
  expect(pieces.join('')).toBe(codec.decode(ids));
  for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
};

const vocabulary: Readonly<Record<string, number>> = { tiny: 259, smollm2: 49152, minilm: 30522 };
/** Scripts of 1 to 4 bytes a character, joined emoji, marks, white space and what is no character. */
const text = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom(
      'a',
      ' ',
      '\n',
      'é',
      'e\u0301',
      '你',
      '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}',
      '\u{1F1E9}',
      '\uFFFD',
      '<|im_end|>',
    ),
  ),
  maxLength: 60,
});

describe.each([...openedTokenizers(), ...openedFamilies()])(
  'streaming with the tokenizer of $name',
  ({ name, codec }) => {
    const size = vocabulary[name] ?? Object.keys(families[name]!.tokenizer.model.vocab).length;
    const anyId = fc.nat(size - 1);

    it('gives the text of all tokens for tokens at random', () => {
      fc.assert(
        fc.property(fc.array(anyId, { maxLength: 150 }), (ids) => expectWhole(codec, ids)),
        { numRuns: 300 },
      );
    });

    it('gives the text of all tokens for any text', () => {
      fc.assert(
        fc.property(text, (value) => expectWhole(codec, codec.encodeInput(value, Infinity).ids)),
        { numRuns: 300 },
      );
      for (const value of encodings.texts) expectWhole(codec, codec.encodeInput(value, Infinity).ids);
    });

    it('gives a long text of characters of several tokens each, after bytes that are none', () => {
      const hard = '\u{20000}\u{1F468}\u200D\u{1F469}你é'.repeat(40);
      const broken = codec.encodeInput('\u{1F600}', Infinity).ids.slice(0, -1);
      for (let count = 0; count < 70; count += 1)
        expectWhole(codec, [
          ...Array.from({ length: count }, () => broken).flat(),
          ...codec.encodeInput(hard, Infinity).ids,
        ]);
    });

    it('follows a prompt as if both were one text', () => {
      fc.assert(
        fc.property(text, text, (prompt, answer) => {
          const before = codec.encodeInput(prompt, Infinity).ids;
          const ids = codec.encodeInput(answer, Infinity).ids;
          const whole = codec.decode([...before, ...ids]);
          // A prompt ends with a whole character.
          expect(codec.decode(before) + stream(codec.detokenizer(before), ids).join('')).toBe(whole);
        }),
        { numRuns: 200 },
      );
    });
  },
);
