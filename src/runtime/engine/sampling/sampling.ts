import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Sampling } from '../engine.ts';
import type { Banned, Bans } from './bans.ts';
import { Choice } from './choice.ts';
import { forbid, isForbidden } from './mask.ts';
import { makePenalties } from './penalties.ts';

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
 * The likeliest token of those that may come. The logits of those that may not are made as low as can be.
 * @throws LOGITS_NOT_FINITE; REQUEST_INVALID where none may come
 */
const likeliestOf = (
  choice: Choice,
  logits: Float32Array,
  mask: Uint32Array | undefined,
  banned: Banned | undefined,
): number => {
  if (banned === undefined) return choice.likeliest(mask);
  const { never, last } = banned;
  forbid(never, logits);
  const held = last.map((ids) => ids.map((id) => [id, logits[id]] as const));
  for (const ids of last) forbid(ids, logits);
  let best = choice.likeliest(mask);
  for (const tokens of held) {
    if (!isForbidden(logits[best])) return best;
    for (const [id, logit] of tokens) if (logit !== undefined) logits[id] = logit;
    best = choice.likeliest(mask);
  }
  if (!isForbidden(logits[best])) return best;
  throw new AdaptletError('REQUEST_INVALID', 'bad_words leave no token that may come next', {
    advice: 'Send fewer bad_words, or no structure beside them.',
  });
};

/**
 * A sampler for one request; it remembers what it picked. Bias and penalties change the logits, `mask` and `bans` leave the tokens
 * that may come, then temperature, then top-k, top-p and min-p choose; see {@link Sampling}. The sampler throws LOGITS_NOT_FINITE,
 * REQUEST_INVALID where no token may come, and what `mask` throws. `choice` can be the same one for all requests.
 */
export const makeSampler = (
  sampling: Sampling,
  random: () => number,
  {
    promptIds = [],
    choice = new Choice(),
    mask,
    bans,
  }: {
    readonly promptIds?: readonly number[];
    readonly choice?: Choice;
    /** A bit for each token; absent: all of them may come. */
    readonly mask?: (() => Uint32Array) | undefined;
    readonly bans?: Bans | undefined;
  } = {},
): Sampler => {
  const penalties = makePenalties(sampling, promptIds);
  const came = (id: number): void => {
    penalties?.took(id);
    bans?.took(id);
  };
  const sampler = (logits: Float32Array): number => {
    const own = choice.take(logits);
    const banned = bans?.next();
    penalties?.apply(own);
    const best = likeliestOf(choice, own, mask?.(), banned);
    const id = sampling.temperature === 0 ? best : choice.draw(best, sampling, random());
    came(id);
    return id;
  };
  return Object.assign(sampler, { came });
};
