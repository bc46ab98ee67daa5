import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { TextCodec } from '../model/tokenizer.ts';
import type { EncoderText } from '../tasks.ts';

export type TextTokens = {
  /** Tokens of each text, special ones included. */
  readonly ids: readonly (readonly number[])[];
  readonly promptTokens: number;
  /** Places of the texts that were cut. */
  readonly truncated: readonly number[];
};

type Codec = Pick<TextCodec, 'encode' | 'encodeInput'>;

const givenIds = (ids: readonly number[], place: number, codec: Codec, limit: number): readonly number[] => {
  if (ids.length > limit) {
    throw new AdaptletError(
      'PROMPT_TOO_LONG',
      `Input ${place} has ${ids.length} tokens; the model reads ${limit}`,
      { advice: 'Send fewer tokens, or the text, which is cut.' },
    );
  }
  return codec.encode({ kind: 'ids', ids });
};

/**
 * Tokens of texts. A text is cut at its end to what the model reads; tokens are taken as they are, with special ones or
 * without, and refused when they are too many.
 * @throws REQUEST_INVALID, PROMPT_TOO_LONG
 */
export const tokensOf = (texts: readonly EncoderText[], codec: Codec, limit: number): TextTokens => {
  const truncated: number[] = [];
  const ids = texts.map((text, place) => {
    if (text.kind === 'ids') return givenIds(text.ids, place, codec, limit);
    const tokens = codec.encodeInput(text.text, limit);
    const isCut = tokens.length === limit && codec.encodeInput(text.text, Infinity).length > limit;
    if (isCut) truncated.push(place);
    return tokens;
  });
  return { ids, promptTokens: ids.reduce((sum, { length }) => sum + length, 0), truncated };
};
