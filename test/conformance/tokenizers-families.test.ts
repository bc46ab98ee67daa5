import { describe, expect, it } from 'vitest';
import { digestOf, encodings, families, openedFamilies } from './support/tokenizers.ts';

/** Families whose vocabulary names bytes that are no piece of it. */
const byteFallback = ['gemma', 'llama2'];

describe.each(openedFamilies())('a tokenizer of the kind of $name', ({ name, codec }) => {
  const expected = families[name]!;
  const encode = (text: string): readonly number[] => codec.encodeInput(text, Infinity).ids;

  it.each(encodings.texts.map((text, index) => ({ text, index })))(
    'encodes and decodes $text as the tokenizers library does',
    ({ text, index }) => {
      const ids = encode(text);
      expect(digestOf(ids).sha256.slice(0, 12)).toBe(expected.ids[index]);
      expect(codec.decode(ids)).toBe(expected.decoded[index] ?? text);
    },
  );

  it.each(Object.entries(encodings.long))('encodes 100 kB of %s to the same tokens', (key, [unit, count]) => {
    expect(digestOf(encode(unit.repeat(count)))).toEqual(expected.long[key]);
  });

  it('decodes tokens at random to the same text', () => {
    // Of bytes that are no text the library makes one mark each, and of characters beside them as well: that cannot be
    // streamed, so here it is a mark for each part that is no character, for all kinds.
    const same = expected.random.filter(
      ({ text }) => !byteFallback.includes(name) || !text.includes('\uFFFD'),
    );
    expect(same.length).toBeGreaterThan(3);
    for (const { ids, text } of same) expect(codec.decode(ids)).toBe(text);
  });

  it('names each token by itself: the bytes of the tokens of a text are the text', () => {
    for (const text of encodings.texts.filter((value) => !value.includes('<'))) {
      const ids = encode(text);
      const bytes = Uint8Array.from(ids.flatMap((id) => codec.describe(id).bytes ?? []));
      const named = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
      // The first word has a space of its own in Llama 2.
      expect(name === 'llama2' ? named.replace(/^ /, '') : named).toBe(codec.decode(ids));
    }
  });
});
