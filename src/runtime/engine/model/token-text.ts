import type { DecoderConfig, TokenizerFile } from './tokenizer-config.ts';

/** One token by itself. */
export type TokenText = {
  /** Its text; `bytes:\xf0\x9f` where its bytes are no text. */
  readonly token: string;
  /** What it adds to a text, in UTF-8; absent for special tokens, which add nothing. */
  readonly bytes?: readonly number[];
};

const typesOf = (decoder: DecoderConfig | null | undefined): readonly string[] =>
  decoder == null ? [] : [decoder.type, ...(decoder.decoders ?? []).flatMap(typesOf)];

/** Bytes of a token as it stands in the vocabulary. */
type ToBytes = (token: string) => readonly number[];

const utf8 = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const printable = (byte: number): boolean =>
  (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad && byte <= 0xff);

/** GPT-2 writes bytes as characters: printable ones as themselves, the others from U+0100 on. */
const byteLevel = (): ToBytes => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const others = bytes.filter((byte) => !printable(byte));
  const byteOf = new Map([
    ...bytes.filter(printable).map((byte) => [String.fromCodePoint(byte), byte] as const),
    ...others.map((byte, index) => [String.fromCodePoint(0x100 + index), byte] as const),
  ]);
  return (token) =>
    Array.from(token).flatMap((character) => byteOf.get(character) ?? [...utf8.encode(character)]);
};

/** SentencePiece: a bar stands for a space, and `<0xE2>` for a byte. WordPiece: a word begins with a space. */
const pieces =
  (types: readonly string[]): ToBytes =>
  (token) => {
    const byte = types.includes('ByteFallback') ? /^<0x([0-9A-F]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return [Number.parseInt(byte, 16)];
    if (!types.includes('WordPiece')) return [...utf8.encode(token.replaceAll('\u2581', ' '))];
    return [...utf8.encode(token.startsWith('##') ? token.slice(2) : ` ${token}`)];
  };

const textOf = (bytes: readonly number[]): string => {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch {
    return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
};

/** Text and bytes of each token of a vocabulary, in the way of OpenAI's log probabilities. */
export const openTokenTexts = (
  tokenOf: (id: number) => string | undefined,
  file: TokenizerFile,
): ((id: number) => TokenText) => {
  const types = typesOf(file.decoder);
  const bytesOf = types.includes('ByteLevel') ? byteLevel() : pieces(types);
  const added = new Map(file.added_tokens.map((token) => [token.id, token]));
  return (id) => {
    const own = added.get(id);
    if (own !== undefined)
      return own.special
        ? { token: own.content }
        : { token: own.content, bytes: [...utf8.encode(own.content)] };
    // A vocabulary may have been made longer than its tokens, for speed.
    const token = tokenOf(id);
    if (token === undefined) return { token: '' };
    const bytes = bytesOf(token);
    return { token: textOf(bytes), bytes };
  };
};
