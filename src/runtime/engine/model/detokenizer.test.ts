import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detokenizer } from './detokenizer.ts';

/** One token per byte, as the smallest byte-level vocabulary has it. */
const decodeBytes = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids));
/** Words with a space before them, except at the beginning: as SentencePiece decodes. */
const words = ['red', 'moon', 'fish'];
const decodeWords = (ids: readonly number[]): string => ids.map((id) => words[id] ?? '').join(' ');

const pieces = (detokenizer: Detokenizer, ids: Iterable<number>): string[] =>
  [...ids].map((id) => detokenizer.push(id));

describe('the detokenizer', () => {
  it('gives the text of all tokens in the end, however characters are cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bytes = new TextEncoder().encode(text);
        const detokenizer = new Detokenizer(decodeBytes);
        expect(pieces(detokenizer, bytes).join('') + detokenizer.flush()).toBe(decodeBytes([...bytes]));
      }),
    );
  });

  it('never gives out part of a character', () => {
    const detokenizer = new Detokenizer(decodeBytes);
    expect(pieces(detokenizer, new TextEncoder().encode('a€😀b'))).toEqual([
      'a',
      '',
      '',
      '€',
      '',
      '',
      '',
      '😀',
      'b',
    ]);
  });

  it('gives a real replacement character once what follows shows that it is one', () => {
    const detokenizer = new Detokenizer(decodeBytes);
    expect(pieces(detokenizer, new TextEncoder().encode('\uFFFD!')).join('')).toBe('\uFFFD!');
  });

  it('stays bounded and whole on bytes that never form a character', () => {
    const longest: number[] = [];
    const decode = (ids: readonly number[]): string => {
      longest.push(ids.length);
      return decodeBytes(ids);
    };
    const detokenizer = new Detokenizer(decode);
    const text = pieces(detokenizer, Array<number>(500).fill(0xff)).join('') + detokenizer.flush();
    expect(text).toBe('\uFFFD'.repeat(500));
    expect(Math.max(...longest)).toBeLessThanOrEqual(65);
  });

  it('decodes only a few tokens again, and loses no space at the seams', () => {
    const ids = Array.from({ length: 200 }, (_, index) => index % 3);
    const detokenizer = new Detokenizer(decodeWords);
    expect(pieces(detokenizer, ids).join('')).toBe(decodeWords(ids));
  });

  it('keeps the space between the prompt and the answer', () => {
    const detokenizer = new Detokenizer(decodeWords, [0, 1]);
    expect(detokenizer.push(2)).toBe(' fish');
  });

  it('holds at the end what was never finished', () => {
    const detokenizer = new Detokenizer(decodeBytes);
    expect(detokenizer.push(0xe2)).toBe('');
    expect(detokenizer.flush()).toBe('\uFFFD');
  });
});
