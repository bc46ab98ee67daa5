import { expOfMinus } from './exp.ts';

/** What makes weights of logits: multiples of the weight of the largest one, `top`. */
export type Scale = { readonly top: number; readonly temperature: number };

/** The weight of every token, written into `weights`; all of them together. */
export const allWeights = (
  logits: Float32Array,
  { top, temperature }: Scale,
  weights: Float64Array,
): number => {
  const steepness = 1 / temperature;
  let total = 0;
  for (let id = 0; id < weights.length; id += 1) {
    const weight = expOfMinus((top - (logits[id] ?? 0)) * steepness);
    weights[id] = weight;
    total += weight;
  }
  return total;
};
