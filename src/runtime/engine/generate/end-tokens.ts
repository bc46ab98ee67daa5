import type { GenerateInput } from '../engine.ts';
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
 * `words`: the tokens of `badWords`.
 */
export const endTokens = (
  { stopTokenIds = [], minTokens = 0, ignoreEos = false, structure }: GenerateInput,
  eosIds: ReadonlySet<number>,
  words: WordTokens,
): EndTokens => {
  const stops = new Set(stopTokenIds);
  const all = new Set([...eosIds, ...stops]);
  const isStructured = structure !== undefined;
  const endsNever = ignoreEos && isStructured ? [...eosIds].filter((id) => !stops.has(id)) : [];
  return {
    endIds: ignoreEos && !isStructured ? stops : all,
    bans: makeBans({
      stops: [...stops].filter((id) => !eosIds.has(id)),
      ends: [...eosIds],
      minTokens,
      endsNever,
      words,
    }),
  };
};
