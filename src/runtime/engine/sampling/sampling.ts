import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';
import { allWeights, candidates } from './candidates.ts';
import { makePenalties } from './penalties.ts';

/** Picks the next token from the logits of one position, which stay as they are. */
export type Sampler = (logits: Float32Array) => number;

const outOfRange = (field: string, value: number, range: string): AdaptletError =>
  new AdaptletError('REQUEST_INVALID', `${field} is ${value}; it must be ${range}`);

const checkFinite = (fields: Readonly<Record<string, number>>): void => {
  for (const [field, value] of Object.entries(fields))
    if (!Number.isFinite(value)) throw outOfRange(field, value, 'a number');
};

/** @throws REQUEST_INVALID with the field */
export const checkSampling = (sampling: Sampling): void => {
  const { temperature, topK, topP, seed = 0, minP = 0, repetitionPenalty = 1, logitBias = [] } = sampling;
  const { frequencyPenalty = 0, presencePenalty = 0 } = sampling;
  if (!Number.isFinite(temperature) || temperature < 0)
    throw outOfRange('temperature', temperature, '0 or more');
  if (!Number.isInteger(topK) || topK < 0) throw outOfRange('top_k', topK, 'a whole number, 0 or more');
  if (!(topP > 0 && topP <= 1)) throw outOfRange('top_p', topP, 'above 0 and at most 1');
  if (!(minP >= 0 && minP <= 1)) throw outOfRange('min_p', minP, 'from 0 to 1');
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity))
    throw outOfRange('repetition_penalty', repetitionPenalty, 'above 0');
  checkFinite({ seed, frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty });
  for (const [id, bias] of logitBias) checkFinite({ [`logit_bias of token ${id}`]: bias });
};

/**
 * The most likely token; of equals the first. By index: an iterator over a vocabulary costs
 * a tenth of a step.
 * @throws LOGITS_NOT_FINITE
 */
const mostLikely = (logits: Float32Array | Float64Array): number => {
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

const makePick = (
  sampling: Sampling,
  random: () => number,
): ((logits: Float32Array | Float64Array) => number) => {
  const { temperature, topK, topP, minP = 0 } = sampling;
  if (temperature === 0) return mostLikely;
  // Kept from token to token: a vocabulary of them each time would keep the garbage collector busy.
  let weights = new Float64Array(0);
  return (logits) => {
    if (weights.length !== logits.length) weights = new Float64Array(logits.length);
    const top = logits[mostLikely(logits)] ?? 0;
    if (topK === 0 && topP === 1 && minP === 0) {
      allWeights(logits, { top, temperature }, weights);
      return draw(weights, random);
    }
    const left = candidates(logits, sampling, { top, weights });
    const index = draw(
      left.map(({ weight }) => weight),
      random,
    );
    return left[index]?.id ?? 0;
  };
};

/**
 * A sampler for one request; it remembers what it picked. Bias and penalties change the logits, then temperature, then
 * top-k, top-p and min-p choose; see {@link Sampling}. The sampler throws LOGITS_NOT_FINITE.
 */
export const makeSampler = (
  sampling: Sampling,
  random: () => number,
  promptIds: readonly number[] = [],
): Sampler => {
  const pick = makePick(sampling, random);
  const penalties = makePenalties(sampling, promptIds);
  if (penalties === undefined) return pick;
  return (logits) => {
    const changed = new Float64Array(logits);
    penalties.apply(changed);
    const id = pick(changed);
    penalties.took(id);
    return id;
  };
};
