import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { GenerateInput } from '../engine.ts';
import type { TextCodec } from '../model/tokenizer.ts';
import type { WordTokens } from '../model/word-tokens.ts';
import { type Bans, makeBans } from '../sampling/bans.ts';
import type { TokenMask } from '../structure/token-mask.ts';

/** What the tokens of an answer may be, and which words they may not make; absent: anything. */
export type Limits = { readonly mask?: TokenMask | undefined; readonly words?: WordTokens | undefined };

/** Which tokens end an answer, and which may not come, or not yet. */
export type EndTokens = { readonly endIds: ReadonlySet<number>; readonly bans: Bans | undefined };

/**
 * As vLLM has it: `minTokens` holds back the tokens of `stopTokenIds` and the model's own end tokens, also those that are ignored;
 * ignored ones can come, and have no text. In a structure an end token is its end: it stays one, and comes only where nothing else may.
 * `words`: the tokens of `badWords`. Unlike in vLLM none may be an end of the answer: it would go on to `maxTokens`.
 * @throws REQUEST_INVALID
 */
export const endTokens = (
  { stopTokenIds = [], minTokens = 0, ignoreEos = false, structure }: GenerateInput,
  eosIds: ReadonlySet<number>,
  words: WordTokens,
  { describe }: Pick<TextCodec, 'describe'>,
): EndTokens => {
  const stops = new Set(stopTokenIds);
  const all = new Set([...eosIds, ...stops]);
  const isStructured = structure !== undefined;
  const endIds = ignoreEos && !isStructured ? stops : all;
  const end = words
    .map((word) => word.at(-1))
    .find((id) => id !== undefined && eosIds.has(id) && endIds.has(id));
  if (end !== undefined)
    throw new AdaptletError(
      'REQUEST_INVALID',
      `bad_words has ${describe(end).token}, an end token of the model`,
      {
        advice: ignoreEos
          ? 'Leave it out: it has no text. A structure, and stop_token_ids that have it, end the answer with it in spite of ignore_eos.'
          : 'Leave it out: it has no text. Send ignore_eos or min_tokens for an answer that does not end with it.',
      },
    );
  const endsNever = ignoreEos && isStructured ? [...eosIds].filter((id) => !stops.has(id)) : [];
  return {
    endIds,
    bans: makeBans({
      stops: [...stops].filter((id) => !eosIds.has(id)),
      ends: [...eosIds],
      minTokens,
      endsNever,
      words,
    }),
  };
};
