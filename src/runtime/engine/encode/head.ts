import type { Classification } from '../tasks.ts';

/** What makes probabilities of logits: of labels that exclude each other, of labels that do not, and of none. */
export type Activation = 'softmax' | 'sigmoid' | 'none';

/** The linear that PEFT saved beside an adapter: logits = weight · pooled + bias. */
export type Head = {
  readonly labels: readonly string[];
  /** [labels, features], row by row. */
  readonly weight: Float32Array;
  /** [labels] */
  readonly bias: Float32Array;
  readonly activation: Activation;
};

const logitsOf = ({ labels, weight, bias }: Head, pooled: Float32Array): number[] =>
  labels.map((_, row) => {
    let sum = 0;
    for (let at = 0; at < pooled.length; at += 1) {
      sum += (weight[row * pooled.length + at] ?? NaN) * (pooled[at] ?? NaN);
    }
    return Math.fround(sum + (bias[row] ?? NaN));
  });

const softmax = (logits: readonly number[]): number[] => {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
};

const probabilitiesOf = (activation: Activation, logits: readonly number[]): readonly number[] => {
  if (activation === 'softmax') return softmax(logits);
  if (activation === 'sigmoid') return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  return logits;
};

/** Classifies a text by what the model's pooler gave for it. The label is the one of the largest logit, the first of equals. */
export const classify = (head: Head, pooled: Float32Array): Classification => {
  const logits = logitsOf(head, pooled);
  const best = logits.reduce((most, logit, index) => (logit > (logits[most] ?? NaN) ? index : most), 0);
  return {
    label: head.labels[best] ?? '',
    logits,
    probabilities: probabilitiesOf(head.activation, logits),
  };
};
