import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { Sampling } from '../engine/engine.ts';
import { above, outside, type Range, within } from './range.ts';
import { refuse } from './refuse.ts';

/** What a client may ask of the choice of tokens, as every protocol reads it. */
export type SamplingOptions = {
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly seed?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly presencePenalty?: number | undefined;
  /** By token id, which JSON can only write as text. */
  readonly logitBias?: Readonly<Record<string, number>> | undefined;
};

/** JSON rounds seeds beyond 2^53, which have no next one: a smaller one takes the place of each, always the same. */
const seedOf = (name: string, seed: number, range: Range): number => {
  const whole = within(name, seed, range);
  return Number.isSafeInteger(whole) ? whole : Number(BigInt.asIntN(53, BigInt(whole)));
};

/** Fields that are left out when the client left them out; the names are those that all protocols have in common. */
const optional = {
  // OpenAI's are int64.
  seed: { name: 'seed', range: { min: -(2 ** 63), max: 2 ** 63, whole: true }, check: seedOf },
  minP: { name: 'min_p', range: { min: 0, max: 1 }, check: within },
  repetitionPenalty: { name: 'repetition_penalty', range: { min: 0, max: 10 }, check: above },
  frequencyPenalty: { name: 'frequency_penalty', range: { min: -2, max: 2 }, check: within },
  presencePenalty: { name: 'presence_penalty', range: { min: -2, max: 2 }, check: within },
} as const;
const optionalKeys = Object.keys(optional) as (keyof typeof optional)[];

/** Tokens that one request may bias: each costs something in every step. */
const maxBiases = 1024;

const biasOf = (bias: Readonly<Record<string, number>>, vocabSize: number): [number, number][] => {
  const entries = Object.entries(bias);
  if (entries.length > maxBiases)
    refuse(`logit_bias has ${entries.length} tokens, at most ${maxBiases} are allowed`);
  return entries.map(([key, value]) => {
    const id = /^\d+$/.test(key)
      ? Number(key)
      : refuse(`logit_bias: ${quoteUntrusted(key)} is not a token id`);
    if (outside([id], vocabSize) !== undefined)
      refuse(`logit_bias: token id ${id} is not in the vocabulary of ${vocabSize}`);
    return [id, within(`logit_bias of token ${id}`, value, { min: -100, max: 100 })];
  });
};

/**
 * Checked sampling.
 * @throws REQUEST_INVALID with the field's name
 */
export const samplingOf = (
  options: SamplingOptions,
  defaultTemperature: number,
  vocabSize: number,
): Sampling => {
  const { temperature = defaultTemperature, topP = 1, topK = 0, logitBias } = options;
  const more: Partial<Record<keyof typeof optional, number>> = {};
  for (const key of optionalKeys) {
    const { [key]: value } = options;
    if (value === undefined) continue;
    const { name, range, check } = optional[key];
    more[key] = check(name, value, range);
  }
  const bias = logitBias === undefined ? [] : biasOf(logitBias, vocabSize);
  return {
    temperature: within('temperature', temperature, { min: 0, max: 2 }),
    topP: above('top_p', topP, { min: 0, max: 1 }),
    topK: within('top_k', topK, { min: 0, max: 2 ** 31 - 1, whole: true }),
    ...more,
    ...(bias.length === 0 ? {} : { logitBias: bias }),
  };
};
