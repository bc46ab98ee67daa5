import type { Sampling } from '../engine.ts';

/** Changes the logits of one step in place, by what the prompt and the answer have so far. */
export type Penalties = {
  apply(logits: Float32Array): void;
  /** A token of the answer. */
  took(id: number): void;
};

/** Whatever the sign of the logit, a penalty above 1 makes the token less likely. */
const repeated = (logit: number, penalty: number): number => (logit > 0 ? logit / penalty : logit * penalty);

/** Beyond it there is only infinity. */
const largest = 3.4028234663852886e38;

/** What a penalty made of a finite logit is finite. */
const finite = (logit: number, changed: number): number => {
  if (Math.abs(changed) <= largest) return changed;
  return Number.isFinite(logit) ? Math.min(largest, Math.max(-largest, changed)) : logit;
};

/** Tokens that were seen, each once, and how often: lists, as walking a map of thousands costs more than what is done for each. */
class Seen {
  readonly ids: number[] = [];
  readonly counts: number[] = [];
  readonly #places = new Map<number, number>();

  add(id: number): void {
    const place = this.#places.get(id);
    if (place !== undefined) {
      this.counts[place] = (this.counts[place] ?? 0) + 1;
      return;
    }
    this.#places.set(id, this.ids.length);
    this.ids.push(id);
    this.counts.push(1);
  }
}

/**
 * Logit bias, then the repetition penalty of prompt and answer, then frequency and presence penalty of the answer.
 * undefined when the request has none of them: the logits need no copy then.
 */
export const makePenalties = (sampling: Sampling, promptIds: readonly number[]): Penalties | undefined => {
  const { logitBias = [], repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = sampling;
  const ofAnswer = frequencyPenalty !== 0 || presencePenalty !== 0;
  if (logitBias.length === 0 && repetitionPenalty === 1 && !ofAnswer) return undefined;
  const seen = new Seen();
  const answered = new Seen();
  if (repetitionPenalty !== 1) for (const id of promptIds) seen.add(id);
  return {
    apply(logits) {
      for (const [id, bias] of logitBias) {
        const logit = logits[id];
        if (logit !== undefined) logits[id] = finite(logit, logit + bias);
      }
      for (const id of seen.ids) {
        const logit = logits[id];
        if (logit !== undefined) logits[id] = finite(logit, repeated(logit, repetitionPenalty));
      }
      for (const [place, id] of answered.ids.entries()) {
        const logit = logits[id];
        const penalty = (answered.counts[place] ?? 0) * frequencyPenalty + presencePenalty;
        if (logit !== undefined) logits[id] = finite(logit, logit - penalty);
      }
    },
    took(id) {
      if (repetitionPenalty !== 1) seen.add(id);
      if (ofAnswer) answered.add(id);
    },
  };
};
