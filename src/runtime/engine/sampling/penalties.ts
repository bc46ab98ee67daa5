import type { Sampling } from '../engine.ts';

/** Changes the logits of one step in place, by what the prompt and the answer have so far. */
export type Penalties = {
  apply(logits: Float64Array): void;
  /** A token of the answer. */
  took(id: number): void;
};

/** Whatever the sign of the logit, a penalty above 1 makes the token less likely. */
const repeated = (logit: number, penalty: number): number => (logit > 0 ? logit / penalty : logit * penalty);

const change = (logits: Float64Array, id: number, to: (logit: number) => number): void => {
  const logit = logits[id];
  if (logit !== undefined) logits[id] = to(logit);
};

/**
 * Logit bias, then the repetition penalty of prompt and answer, then frequency and presence penalty of the answer.
 * undefined when the request has none of them: the logits need no copy then.
 */
export const makePenalties = (sampling: Sampling, promptIds: readonly number[]): Penalties | undefined => {
  const { logitBias = [], repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = sampling;
  const ofAnswer = frequencyPenalty !== 0 || presencePenalty !== 0;
  if (logitBias.length === 0 && repetitionPenalty === 1 && !ofAnswer) return undefined;
  const seen = new Set(promptIds);
  const counts = new Map<number, number>();
  return {
    apply(logits) {
      for (const [id, bias] of logitBias) change(logits, id, (logit) => logit + bias);
      if (repetitionPenalty !== 1)
        for (const id of seen) change(logits, id, (logit) => repeated(logit, repetitionPenalty));
      if (!ofAnswer) return;
      for (const [id, count] of counts)
        change(logits, id, (logit) => logit - count * frequencyPenalty - presencePenalty);
    },
    took(id) {
      seen.add(id);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    },
  };
};
