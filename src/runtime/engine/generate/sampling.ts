import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';

/** Picks the next token from the logits of one position. */
export type Sampler = (logits: Float32Array) => number;

const outOfRange = (field: string, value: number, range: string): AdaptletError =>
  new AdaptletError('REQUEST_INVALID', `${field} is ${value}; it must be ${range}`);

/** Errors: REQUEST_INVALID with the field. */
export const checkSampling = ({ temperature, topK, topP, seed }: Sampling): void => {
  if (!Number.isFinite(temperature) || temperature < 0) throw outOfRange('temperature', temperature, '0 or more');
  if (!Number.isInteger(topK) || topK < 0) throw outOfRange('top_k', topK, 'a whole number, 0 or more');
  if (!(topP > 0 && topP <= 1)) throw outOfRange('top_p', topP, 'above 0 and at most 1');
  if (seed !== undefined && !Number.isFinite(seed)) throw outOfRange('seed', seed, 'a number');
};

/** The most likely token; of equals the first. Errors: LOGITS_NOT_FINITE. */
const mostLikely = (logits: Float32Array): number => {
  let best = 0;
  let bestLogit = -Infinity;
  let sum = 0;
  for (const [id, logit] of logits.entries()) {
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

/**
 * Tokens that can be drawn, not normalised. With top-p, tokens below (1-p)/vocabulary of the total are left out
 * before sorting: all of them together cannot reach the tail that top-p cuts off.
 */
const candidates = (logits: Float32Array, top: number, { temperature, topK, topP }: Sampling): Candidate[] => {
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const floor = topP < 1 ? ((1 - topP) * total) / weights.length : 0;
  const all: Candidate[] = [];
  for (const [id, weight] of weights.entries()) if (weight > 0 && weight >= floor) all.push({ id, weight });
  if (topK === 0 && topP === 1) return all;
  const sorted = all.sort(byWeight).slice(0, topK === 0 ? all.length : topK);
  if (topP === 1) return sorted;
  // top-p counts after top-k, as the reference implementations chain them.
  const goal = topP * (topK === 0 ? total : sorted.reduce((sum, { weight }) => sum + weight, 0));
  let reached = 0;
  const cut = sorted.findIndex(({ weight }) => {
    reached += weight;
    return reached >= goal;
  });
  return cut < 0 ? sorted : sorted.slice(0, cut + 1);
};

const draw = (from: readonly Candidate[], random: () => number): number => {
  const total = from.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  for (const { id, weight } of from) {
    left -= weight;
    if (left < 0) return id;
  }
  return from.at(-1)?.id ?? 0;
};

/**
 * A sampler for one request. Temperature 0 is greedy. Of the logits, temperature is applied first, then top-k, then
 * top-p. The sampler throws LOGITS_NOT_FINITE.
 */
export const makeSampler = (sampling: Sampling, random: () => number): Sampler => {
  if (sampling.temperature === 0) return mostLikely;
  return (logits) => {
    const best = mostLikely(logits);
    return draw(candidates(logits, logits[best] ?? 0, sampling), random);
  };
};
