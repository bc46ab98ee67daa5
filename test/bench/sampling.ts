import type { Sampling } from '../../src/runtime/engine/engine.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { makeBans } from '../../src/runtime/engine/sampling/bans.ts';
import { Choice } from '../../src/runtime/engine/sampling/choice.ts';
import { takenLogprob } from '../../src/runtime/engine/sampling/logprobs.ts';
import { makeSampler } from '../../src/runtime/engine/sampling/sampling.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

/** As large as any that models have today. */
const vocabulary = 262_144;
const contextTokens = 131_072;
const rounds = roundsOf(60);
const warmUps = 20;

const random = seededRandom(7);
const logitsOf = (logit: (id: number) => number): Float32Array =>
  Float32Array.from({ length: vocabulary }, (_, id) => logit(id));
const bell = (): number => Array.from({ length: 12 }, random).reduce((sum, part) => sum + part, -6);

/** What a model or its caller can make of logits: as they usually are; nearly flat; all alike; rising with the id. */
const kinds: Readonly<Record<string, Float32Array>> = {
  usual: logitsOf(() => 3 * bell()),
  flat: logitsOf(() => 8 + 0.01 * random()),
  alike: logitsOf(() => 1),
  rising: logitsOf((id) => id / 20_000),
};

const hot = { temperature: 2, topK: 0, topP: 1 };
const bias = Array.from({ length: 1024 }, (_, at) => [at * 255, at % 2 === 0 ? 100 : -100] as const);
const everything: Sampling = {
  temperature: 2,
  topK: vocabulary - 1,
  topP: 0.99999,
  minP: 1e-9,
  repetitionPenalty: 1.3,
  frequencyPenalty: 0.5,
  presencePenalty: 0.5,
  logitBias: bias,
};
const options: Readonly<Record<string, Sampling>> = {
  greedy: { ...hot, temperature: 0 },
  temperature: hot,
  'top_k 40': { ...hot, topK: 40 },
  'top_k 30,000': { ...hot, topK: 30_000 },
  'top_k 100,000': { ...hot, topK: 100_000 },
  'top_k 262,143': { ...hot, topK: vocabulary - 1 },
  'top_p 0.9': { ...hot, topP: 0.9 },
  'top_p 0.99999': { ...hot, topP: 0.99999 },
  'min_p 0.05': { ...hot, minP: 0.05 },
  'logit_bias of 1,024 tokens': { ...hot, logitBias: bias },
  'penalties of 131,072 tokens': {
    ...hot,
    repetitionPenalty: 1.3,
    frequencyPenalty: 0.5,
    presencePenalty: 0.5,
  },
  everything,
};

/** A bit for each token, as a structure gives them; half of the tokens may come. */
const mask = Uint32Array.from({ length: vocabulary / 32 }, () => Math.floor(random() * 2 ** 32));
const masked: typeof options = { mask: hot, 'mask and everything': everything };

/** Tokens of 1,024 words, as many as a request may have, each at the beginning of a text and behind a space; of one token to four. */
const words = Array.from({ length: 2048 }, (_, at) =>
  Array.from({ length: 1 + (at % 4) }, () => Math.floor(random() * vocabulary)),
);
/** Before an answer has `min_tokens`, so its ends are banned as well. */
const makeAllBans = () =>
  makeBans({ stops: [3, 4], ends: [1, 2], minTokens: Infinity, endsNever: [], words });
const banned: typeof options = { 'min_tokens and 1,024 bad_words': hot };

type Case = { readonly name: string; readonly run: () => void };

const cases = (): readonly Case[] => {
  const choice = new Choice();
  const promptIds = Array.from({ length: contextTokens }, (_, at) => (at * 7919) % vocabulary);
  const describe = (id: number) => ({ token: String(id) });
  return Object.values(kinds).flatMap((logits) => [
    ...Object.entries({ ...options, ...masked, ...banned }).map(([name, sampling]) => {
      const sampler = makeSampler(sampling, seededRandom(3), {
        promptIds,
        choice,
        mask: name in masked ? () => mask : undefined,
        bans: name in banned ? makeAllBans() : undefined,
      });
      return { name, run: () => void sampler(logits) };
    }),
    { name: 'top_logprobs 20', run: () => void takenLogprob(logits, 5, { top: 20, describe, choice }) },
  ]);
};

/**
 * What choosing one token costs the engine's thread, whatever the caller asks for. The p99 of an option is over all
 * kinds of logits.
 */
export const sampling = async (): Promise<Report> => {
  const all = cases();
  const shuffle = shuffler(11);
  const times = new Map<string, number[]>();
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const { name, run } of shuffle(all)) {
      const started = performance.now();
      run();
      const ms = performance.now() - started;
      if (round >= 0) times.set(name, [...(times.get(name) ?? []), ms]);
    }
    // What collects garbage or compiles in between is not the thread's.
    await new Promise(setImmediate);
  }
  const greedy = quantile(times.get('greedy') ?? [], 0.5);
  return report('sampling', 'ms', {
    results: Object.fromEntries([...times].map(([name, ms]) => [name, variant(ms)])),
    ratios: Object.fromEntries(
      [...times].map(([name, ms]) => [`${name} / greedy`, quantile(ms, 0.5) / greedy]),
    ),
    setup: { vocabulary, logits: Object.keys(kinds).join(', '), rounds },
  });
};
