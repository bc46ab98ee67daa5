import type { TakenLogprob, TokenLogprob } from '../engine.ts';
import type { TokenText } from '../model/token-text.ts';
import type { Choice } from './choice.ts';

/** Log probabilities that one request wants. */
export type LogprobParts = {
  /** How many of the likeliest tokens besides the one that was taken. */
  readonly top: number;
  readonly describe: (id: number) => TokenText;
  readonly choice: Choice;
};

/** Log probabilities of one step by the model alone: `logits` are as the graph gave them. */
export const takenLogprob = (
  logits: Float32Array,
  id: number,
  { top: count, describe, choice }: LogprobParts,
): TakenLogprob => {
  choice.take(logits);
  const { logSumExp, top } = choice.summary(count);
  const of = (token: number): TokenLogprob => ({
    id: token,
    ...describe(token),
    logprob: (logits[token] ?? -Infinity) - logSumExp,
  });
  return { ...of(id), top: top.map(of) };
};
