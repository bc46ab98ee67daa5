import type { TakenLogprob, TokenLogprob } from '../engine.ts';
import type { TokenText } from '../model/token-text.ts';
import { likeliest } from './candidates.ts';

/** Log probabilities that one request wants. */
export type LogprobParts = {
  /** How many of the likeliest tokens besides the one that was taken. */
  readonly top: number;
  readonly describe: (id: number) => TokenText;
};

/** log(sum(exp(logits))), without overflow. */
export const logSumExp = (logits: ArrayLike<number>): number => {
  let max = -Infinity;
  for (let id = 0; id < logits.length; id += 1) max = Math.max(max, logits[id] ?? -Infinity);
  let sum = 0;
  for (let id = 0; id < logits.length; id += 1) sum += Math.exp((logits[id] ?? -Infinity) - max);
  return max + Math.log(sum);
};

/** Log probabilities of one step by the model alone: `logits` are as the graph gave them. */
export const takenLogprob = (
  logits: Float32Array,
  id: number,
  { top, describe }: LogprobParts,
): TakenLogprob => {
  const total = logSumExp(logits);
  const of = (token: number): TokenLogprob => ({
    id: token,
    ...describe(token),
    logprob: (logits[token] ?? -Infinity) - total,
  });
  return { ...of(id), top: top === 0 ? [] : likeliest(logits, top).map((candidate) => of(candidate.id)) };
};
