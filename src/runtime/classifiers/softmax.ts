import type { Head } from './static-table.ts';
import { addTo, dot } from './vectors.ts';

/** Probabilities of logits. */
const softmax = (logits: readonly number[]): readonly number[] => {
  const most = Math.max(...logits);
  const powers = logits.map((one) => Math.exp(one - most));
  const sum = powers.reduce((all, one) => all + one, 0);
  return powers.map((one) => one / sum);
};

/** Probabilities of the labels of a head for a vector of length 1. */
export const probabilities = ({ labels, weights, bias }: Head, vector: Float32Array): readonly number[] =>
  softmax(
    labels.map((_, label) => {
      const begin = label * vector.length;
      return dot(weights.subarray(begin, begin + vector.length), vector) + (bias[label] ?? 0);
    }),
  );

export type Sample = { readonly vector: Float32Array; readonly label: string };

const steps = 400;
const rate = 8;
/** Pull of the weights towards 0, for each step. */
const decay = 1e-4;

/**
 * A linear layer by multinomial logistic regression: gradient descent over all samples, from 0. Each label counts the same,
 * however many samples it has. The same samples give the same head.
 */
export const trainHead = (samples: readonly Sample[], dimensions: number): Head => {
  const labels = [...new Set(samples.map(({ label }) => label))].sort();
  const weights = new Float32Array(labels.length * dimensions);
  const bias = new Float32Array(labels.length);
  const head = { labels, weights, bias };
  const sizes = Map.groupBy(samples, ({ label }) => label);
  for (let step = 0; step < steps; step++) {
    const slope = new Float32Array(weights.length);
    const biasSlope = new Float32Array(bias.length);
    for (const { vector, label } of samples) {
      const share = 1 / (labels.length * (sizes.get(label)?.length ?? 1));
      probabilities(head, vector).forEach((probability, index) => {
        const error = (probability - (labels[index] === label ? 1 : 0)) * share;
        const begin = index * dimensions;
        addTo(slope.subarray(begin, begin + dimensions), vector, error);
        biasSlope[index] = (biasSlope[index] ?? 0) + error;
      });
    }
    addTo(slope, weights, decay);
    addTo(weights, slope, -rate);
    addTo(bias, biasSlope, -rate);
  }
  return head;
};
