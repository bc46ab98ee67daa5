import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';

/**
 * Picks the next token from the logits of one position. Loops here are by index: an iterator over a vocabulary costs
 * a tenth of a step.
 */
export type Sampler = (logits: Float32Array) => number;

const outOfRange = (field: string, value: number, range: string): AdaptletError =>
  new AdaptletError('REQUEST_INVALID', `${field} is ${value}; it must be ${range}`);

/** Errors: REQUEST_INVALID with the field. */
export const checkSampling = ({ temperature, topK, topP, seed }: Sampling): void => {
  if (!Number.isFinite(temperature) || temperature < 0)
    throw outOfRange('temperature', temperature, '0 or more');
  if (!Number.isInteger(topK) || topK < 0) throw outOfRange('top_k', topK, 'a whole number, 0 or more');
  if (!(topP > 0 && topP <= 1)) throw outOfRange('top_p', topP, 'above 0 and at most 1');
  if (seed !== undefined && !Number.isFinite(seed)) throw outOfRange('seed', seed, 'a number');
};

/** The most likely token; of equals the first. Errors: LOGITS_NOT_FINITE. */
const mostLikely = (logits: Float32Array): number => {
  let best = 0;
  let bestLogit = -Infinity;
  let sum = 0;
  for (let id = 0; id < logits.length; id += 1) {
    const logit = logits[id] ?? NaN;
    // Infinities of both signs and NaN all leave the sum not finite.
    sum += logit;
    if (logit > bestLogit) {
      best = id;
      bestLogit = logit;
    }
  }
  if (Number.isFinite(sum) && logits.length > 0) return best;
  throw new AdaptletError('LOGITS_NOT_FINITE', 'The logits of a step are NaN or infinite');
};

type Candidate = { readonly id: number; readonly weight: number };

/** Likeliest first; of equals the lower id, so that the order does not depend on the sort. */
const byWeight = (a: Candidate, b: Candidate): number => b.weight - a.weight || a.id - b.id;

/** The `count` likeliest, in order. Most tokens only cost the comparison with the last one kept. */
const likeliest = (weights: Float64Array, count: number): Candidate[] => {
  const kept: Candidate[] = [];
  let least = -Infinity;
  for (let id = 0; id < weights.length; id += 1) {
    const weight = weights[id] ?? 0;
    if (weight <= least) continue;
    let low = 0;
    for (let high = kept.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((kept[middle]?.weight ?? 0) >= weight) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, { id, weight });
    if (kept.length > count) kept.pop();
    if (kept.length === count) least = kept.at(-1)?.weight ?? least;
  }
  return kept;
};

/**
 * Those of at least `floor`, likeliest first. With top-p, tokens below (1-p)/vocabulary of the total need no place in
 * the order: all of them together do not reach what top-p cuts off.
 */
const atLeast = (weights: Float64Array, floor: number): Candidate[] => {
  const all: Candidate[] = [];
  for (let id = 0; id < weights.length; id += 1) {
    const weight = weights[id] ?? 0;
    if (weight >= floor) all.push({ id, weight });
  }
  return all.sort(byWeight);
};

/** The shortest beginning that holds `share` of `total`. */
const nucleus = (sorted: readonly Candidate[], share: number, total: number): readonly Candidate[] => {
  let reached = 0;
  const last = sorted.findIndex(({ weight }) => {
    reached += weight;
    return reached >= share * total;
  });
  return last < 0 ? sorted : sorted.slice(0, last + 1);
};

const sumOf = (all: readonly Candidate[]): number => all.reduce((sum, { weight }) => sum + weight, 0);

/** Tokens that top-k and top-p leave, not normalised. top-p counts within what top-k left. */
const candidates = (weights: Float64Array, { topK, topP }: Sampling): readonly Candidate[] => {
  if (topK > 0) {
    const kept = likeliest(weights, topK);
    return topP < 1 ? nucleus(kept, topP, sumOf(kept)) : kept;
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return nucleus(atLeast(weights, ((1 - topP) * total) / weights.length), topP, total);
};

/** Index of a weight, as often as its share says. */
const draw = (weights: ArrayLike<number>, random: () => number): number => {
  let total = 0;
  for (let index = 0; index < weights.length; index += 1) total += weights[index] ?? 0;
  let left = random() * total;
  for (let index = 0; index < weights.length; index += 1) {
    left -= weights[index] ?? 0;
    if (left < 0) return index;
  }
  // Rounding left a rest: the last one that counts.
  for (let index = weights.length - 1; index > 0; index -= 1) if ((weights[index] ?? 0) > 0) return index;
  return 0;
};

/**
 * A sampler for one request. Temperature 0 is greedy. Of the logits, temperature is applied first, then top-k, then
 * top-p. The sampler throws LOGITS_NOT_FINITE.
 */
export const makeSampler = (sampling: Sampling, random: () => number): Sampler => {
  const { temperature, topK, topP } = sampling;
  if (temperature === 0) return mostLikely;
  return (logits) => {
    const top = logits[mostLikely(logits)] ?? 0;
    const weights = new Float64Array(logits.length);
    for (let id = 0; id < weights.length; id += 1)
      weights[id] = Math.exp(((logits[id] ?? 0) - top) / temperature);
    if (topK === 0 && topP === 1) return draw(weights, random);
    const left = candidates(weights, sampling);
    const index = draw(
      left.map(({ weight }) => weight),
      random,
    );
    return left[index]?.id ?? 0;
  };
};
