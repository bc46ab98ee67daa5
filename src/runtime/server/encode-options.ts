import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { EncoderText } from '../engine/tasks.ts';
import type { EncodeRequest, Serving } from '../serving/serving.ts';
import { refuse } from './refuse.ts';

/** Texts of one request, as OpenAI has it. */
const maxTexts = 2048;
/** No vocabulary has tokens of more characters: a text over this many for each token that is read would be cut anyway. */
const maxCharactersPerToken = 128;

const checkText = (text: EncoderText, place: number, { vocabSize, encoder }: Serving['base']): void => {
  const most = encoder?.maxTokens ?? Infinity;
  if (text.kind === 'text') {
    const limit = most * maxCharactersPerToken;
    if (text.text.length <= limit) return;
    const what = `input ${place} has ${text.text.length} characters; more than ${limit} are not read to find the ${most} tokens that count`;
    throw new AdaptletError('PROMPT_TOO_LONG', what, { advice: 'Shorten the text.' });
  }
  if (text.ids.length === 0) refuse(`input ${place} is empty`);
  const limit = vocabSize > 0 ? vocabSize : Number.MAX_SAFE_INTEGER;
  const bad = text.ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= limit);
  if (bad !== undefined) refuse(`input ${place}: token id ${bad} is not in the vocabulary of ${vocabSize}`);
};

/**
 * A checked request for embeddings or classifications.
 * @throws REQUEST_INVALID, PROMPT_TOO_LONG
 */
export const encodeRequest = (
  texts: readonly EncoderText[],
  output: EncodeRequest['output'],
  base: Serving['base'],
): EncodeRequest => {
  if (texts.length === 0) refuse('the input is empty');
  if (texts.length > maxTexts) refuse(`the input has ${texts.length} texts, at most ${maxTexts} are allowed`);
  for (const [place, text] of texts.entries()) checkText(text, place, base);
  return { texts, output };
};
