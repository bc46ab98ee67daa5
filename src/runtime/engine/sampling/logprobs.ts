import type { TakenLogprob, TokenLogprob } from '../engine.ts';
import type { TokenText } from '../model/token-text.ts';
import type { Candidates } from './candidates.ts';
import { expOfMinus } from './exp.ts';

/** Log probabilities that one request wants. */
export type LogprobParts = {
  /** How many of the likeliest tokens besides the one that was taken. */
  readonly top: number;
  readonly describe: (id: number) => TokenText;
  /** Room to look for them. */
  readonly candidates: Candidates;
};

/** log(sum(exp(logits))), without overflow. */
export const logSumExp = (logits: Float32Array): number => {
  let max = -Infinity;
  for (let id = 0; id < logits.length; id += 1) {
    const logit = logits[id] ?? 0;
    if (logit > max) max = logit;
  }
  let sum = 0;
  for (let id = 0; id < logits.length; id += 1) sum += expOfMinus(max - (logits[id] ?? 0));
  return max + Math.log(sum);
};

/** The `count` likeliest tokens, likeliest first; of equals the lower id. */
const likeliest = (logits: Float32Array, count: number, candidates: Candidates): readonly number[] => {
  candidates.takeLikeliest(logits, count);
  return [...candidates].map(({ id }) => id).sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
};

/** Log probabilities of one step by the model alone: `logits` are as the graph gave them. */
export const takenLogprob = (
  logits: Float32Array,
  id: number,
  { top, describe, candidates }: LogprobParts,
): TakenLogprob => {
  const total = logSumExp(logits);
  const of = (token: number): TokenLogprob => ({
    id: token,
    ...describe(token),
    logprob: (logits[token] ?? -Infinity) - total,
  });
  return { ...of(id), top: top === 0 ? [] : likeliest(logits, top, candidates).map(of) };
};
