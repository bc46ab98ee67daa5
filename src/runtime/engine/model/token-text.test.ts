import { describe, expect, it } from 'vitest';
import { openTokenTexts } from './token-text.ts';

const added = { id: 0, content: '<s>', special: true, single_word: false };
const texts = (decoder: Parameters<typeof openTokenTexts>[1]['decoder'], tokens: readonly string[]) =>
  openTokenTexts((id) => tokens[id], { added_tokens: [added], decoder });

describe('a token by itself', () => {
  it('has the bytes that a byte-level vocabulary writes as characters', () => {
    const of = texts({ type: 'ByteLevel' }, ['<s>', '\u0120caf\u00C3\u00A9', '\u00F0\u0141\u013A', '\u010A']);
    expect(of(1)).toEqual({ token: ' café', bytes: [...Buffer.from(' café')] });
    expect(of(2)).toEqual({ token: 'bytes:\\xf0\\x9f\\x98', bytes: [0xf0, 0x9f, 0x98] });
    expect(of(3)).toEqual({ token: '\n', bytes: [10] });
  });

  it('has a space where SentencePiece has a bar, and one byte where it names one', () => {
    const decoder = { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] };
    const of = texts(decoder, ['<s>', '\u2581moon', '<0xE2>', '<0xE2>x']);
    expect(of(1).token).toBe(' moon');
    expect(of(2)).toEqual({ token: 'bytes:\\xe2', bytes: [0xe2] });
    expect(of(3).token).toBe('<0xE2>x');
  });

  it('begins a word with a space in WordPiece, and goes on within one without', () => {
    const of = texts({ type: 'WordPiece' }, ['<s>', 'moon', '##light']);
    expect([of(1).token, of(2).token]).toEqual([' moon', 'light']);
  });

  it('has no bytes when it is special, or beyond the vocabulary', () => {
    const of = texts(null, ['<s>']);
    expect(of(0)).toEqual({ token: '<s>' });
    expect(of(9)).toEqual({ token: '' });
  });
});
