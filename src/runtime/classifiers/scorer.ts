import type { Whose } from '../engine/tasks.ts';
import type { LabelScore } from '../routing/labelled.ts';

/** Gives texts a confidence for each label. Takes less than a millisecond and keeps nothing of a text. */
export type Scorer = {
  readonly labels: readonly string[];
  /** Undefined: nothing of the text says anything. Scores are from 0 to 1, in any order. */
  score(text: string, maxTokens: number): readonly LabelScore[] | undefined;
};

/** Whose request it is: turns of the encoder go to namespaces alike, and in each to its tenants. */
export type Turn = Pick<Whose, 'namespace' | 'tenant' | 'priority'>;

/** The same by something that has to be waited for. */
export type SlowScorer = {
  readonly labels: readonly string[];
  /** @throws why there is no answer, which counts as none; the reason of the signal */
  ask(
    text: string,
    how: { readonly maxTokens: number; readonly turn: Turn; readonly signal: AbortSignal },
  ): Promise<readonly LabelScore[]>;
};
