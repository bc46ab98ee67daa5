import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';
import type { Banned, Bans } from './bans.ts';
import { Candidates } from './candidates.ts';
import { forbid, gather, isForbidden, mayCome } from './mask.ts';
import { makePenalties } from './penalties.ts';
import { allWeights } from './weights.ts';

/** Picks the next token from the logits of one position, which stay as they are. */
export type Sampler = {
  (logits: Float32Array): number;
  /** A token of the answer that was not picked. */
  came(id: number): void;
};

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
 * The most likely token of those that may come, all without `mask`; of equals the first. By index: an iterator over a
 * vocabulary costs a tenth of a step. Bits are read only of tokens that are likelier than the best one so far.
 * @throws LOGITS_NOT_FINITE, also of those that may not come
 */
const mostLikely = (logits: Float32Array, mask?: Uint32Array): number => {
  let best = 0;
  let bestLogit = -Infinity;
  let sum = 0;
  for (let id = 0; id < logits.length; id += 1) {
    const logit = logits[id] ?? NaN;
    // Infinities of both signs and NaN all leave the sum not finite.
    sum += logit;
    if (logit > bestLogit && (mask === undefined || mayCome(mask, id))) {
      best = id;
      bestLogit = logit;
    }
  }
  if (Number.isFinite(sum) && logits.length > 0) return best;
  throw new AdaptletError('LOGITS_NOT_FINITE', 'The logits of a step are NaN or infinite');
};

/**
 * The most likely token of those that may come. The logits of those that may not are made as low as can be.
 * @throws LOGITS_NOT_FINITE; REQUEST_INVALID where none may come
 */
const mostLikelyOf = (logits: Float32Array, mask?: Uint32Array, banned?: Banned): number => {
  if (banned === undefined) return mostLikely(logits, mask);
  const { never, last } = banned;
  forbid(never, logits);
  const held = last.map((ids) => ids.map((id) => [id, logits[id]] as const));
  for (const ids of last) forbid(ids, logits);
  let best = mostLikely(logits, mask);
  for (const tokens of held) {
    if (!isForbidden(logits[best])) return best;
    for (const [id, logit] of tokens) if (logit !== undefined) logits[id] = logit;
    best = mostLikely(logits, mask);
  }
  if (!isForbidden(logits[best])) return best;
  throw new AdaptletError('REQUEST_INVALID', 'bad_words leave no token that may come next', {
    advice: 'Send fewer bad_words, or no structure beside them.',
  });
};

/** Index of a weight, as often as its share of all of them, `total`, says. */
const draw = (weights: Float64Array, total: number, random: () => number): number => {
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
 * Takes the tokens that top-k, top-p within what that left, and then min-p leave, with their weights. min-p is a share of
 * the likeliest one's probability, which the filters before do not change.
 */
export const filter = (
  logits: Float32Array,
  { topK, topP, minP = 0, temperature }: Sampling,
  top: number,
  into: Candidates,
): void => {
  if (topK > 0) into.takeLikeliest(logits, topK);
  else into.take(logits);
  into.weigh(logits, { top, temperature });
  if (topP < 1) into.keepShare(topP);
  if (minP > 0) into.keepHeavy(minP);
};

/** Draws an index of logits, the largest of which is `top`. */
const makeDraw = (
  sampling: Sampling,
  random: () => number,
  candidates: Candidates,
): ((logits: Float32Array, top: number) => number) => {
  const { temperature, topK, topP, minP = 0 } = sampling;
  return (logits, top) => {
    const scale = { top, temperature };
    // Nothing depends on the order of the tokens then: they stay as they are.
    if (topK === 0 && topP === 1 && minP > 0) {
      const { weights, total } = candidates.takeHeavy(logits, scale, minP);
      return candidates.idAt(draw(weights, total, random));
    }
    if (topK === 0 && topP === 1) {
      const weights = candidates.weights(logits.length);
      return draw(weights, allWeights(logits, scale, weights), random);
    }
    filter(logits, sampling, top, candidates);
    return candidates.draw(random());
  };
};

/**
 * A sampler for one request; it remembers what it picked. Bias and penalties change the logits, `mask` and `bans` leave the tokens
 * that may come, then temperature, then top-k, top-p and min-p choose; see {@link Sampling}. The sampler throws LOGITS_NOT_FINITE,
 * REQUEST_INVALID where no token may come, and what `mask` throws. `candidates` can be the same one for all requests.
 */
export const makeSampler = (
  sampling: Sampling,
  random: () => number,
  {
    promptIds = [],
    candidates = new Candidates(),
    mask,
    bans,
  }: {
    readonly promptIds?: readonly number[];
    readonly candidates?: Candidates;
    /** A bit for each token; absent: all of them may come. */
    readonly mask?: (() => Uint32Array) | undefined;
    readonly bans?: Bans | undefined;
  } = {},
): Sampler => {
  const isGreedy = sampling.temperature === 0;
  const drawn = makeDraw(sampling, random, candidates);
  const penalties = makePenalties(sampling, promptIds);
  const came = (id: number): void => {
    penalties?.took(id);
    bans?.took(id);
  };
  const drawnOf = (own: Float32Array, top: number, bits?: Uint32Array): number => {
    if (bits === undefined) return drawn(own, top);
    const ids = candidates.ids(own.length);
    return ids[drawn(own.subarray(0, gather(bits, own, ids)), top)] ?? 0;
  };
  let copy: Float32Array | undefined;
  const sampler = (logits: Float32Array): number => {
    let own = logits;
    const banned = bans?.next();
    if (penalties !== undefined || banned !== undefined || (mask !== undefined && !isGreedy)) {
      copy = copy?.length === logits.length ? copy : new Float32Array(logits.length);
      copy.set(logits);
      own = copy;
    }
    penalties?.apply(own);
    const bits = mask?.();
    const best = mostLikelyOf(own, bits, banned);
    const id = isGreedy ? best : drawnOf(own, own[best] ?? 0, bits);
    came(id);
    return id;
  };
  return Object.assign(sampler, { came });
};
