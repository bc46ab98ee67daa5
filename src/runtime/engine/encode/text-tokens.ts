import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { EncodedInput, TextCodec } from '../model/tokenizer.ts';
import type { EncoderText } from '../tasks.ts';

export type TextTokens = {
  /** Tokens of each text, special ones included. */
  readonly ids: readonly (readonly number[])[];
  readonly promptTokens: number;
  /** Places of the texts that were cut. */
  readonly truncated: readonly number[];
};

/** What makes tokens: of what is given at once, of a text when there is time. */
type Codec = Pick<TextCodec, 'encode'> & {
  readonly input: (text: string, limit: number) => Promise<EncodedInput>;
};

const givenIds = (ids: readonly number[], place: number, codec: Codec, limit: number): readonly number[] => {
  if (ids.length > limit) {
    throw new AdaptletError(
      'PROMPT_TOO_LONG',
      `This model's maximum context length is ${limit} tokens; input ${place} has ${ids.length}`,
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
export const tokensOf = async (
  texts: readonly EncoderText[],
  codec: Codec,
  limit: number,
): Promise<TextTokens> => {
  const truncated: number[] = [];
  const ids: (readonly number[])[] = [];
  for (const [place, text] of texts.entries()) {
    if (text.kind === 'ids') {
      ids.push(givenIds(text.ids, place, codec, limit));
      continue;
    }
    const input = await codec.input(text.text, limit);
    ids.push(input.ids);
    if (input.isCut) truncated.push(place);
  }
  return { ids, promptTokens: ids.reduce((sum, { length }) => sum + length, 0), truncated };
};
