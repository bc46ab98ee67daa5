import type { Sampling } from '../../src/runtime/engine/engine.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';

/** Natural logarithms of the probabilities of the next token, by id; of the model alone. */
export type Logprobs = ReadonlyMap<number, number>;

/** With the bias of the request; -Infinity for what the model did not list. */
const biased = (logprobs: Logprobs, { logitBias = [] }: Sampling): ReadonlyMap<number, number> => {
  const bias = new Map(logitBias);
  return new Map([...logprobs].map(([id, logprob]) => [id, logprob + (bias.get(id) ?? 0)]));
};

/**
 * Of greedy answers: by how many nats the logits of the two tokens differ. The one that is not the likeliest was taken
 * because rounding moved their difference by this much.
 */
export const greedyDistance = (
  logprobs: Logprobs,
  sampling: Sampling,
  got: number,
  expected: number,
): number => {
  const of = biased(logprobs, sampling);
  return Math.abs((of.get(got) ?? -Infinity) - (of.get(expected) ?? -Infinity));
};

/** log(p / (1 - p)), of two weights that need not add up to 1. */
const logOdds = (below: number, above: number): number => Math.log(below) - Math.log(above);

/**
 * Of answers drawn from the whole vocabulary: by how many nats the difference of two logits has to move before the draw
 * of this step gives the token that came; 0 if it does as it is.
 *
 * A draw u takes the token whose part of the cumulative distribution holds u. If no difference of two logits moves by
 * more than e, the odds of any set of tokens against the rest change by a factor of at most exp(e / temperature): so do
 * the odds of each edge of that part. Sound only without top-k, top-p and min-p, whose sets can change as a whole.
 */
export const sampledDistance = (logprobs: Logprobs, sampling: Sampling, at: number, got: number): number => {
  const { temperature, seed, topK, topP, minP = 0 } = sampling;
  if (seed === undefined || topK !== 0 || topP !== 1 || minP !== 0 || !logprobs.has(got)) return Infinity;
  let [below, within, above] = [0, 0, 0];
  for (const [id, logprob] of biased(logprobs, sampling)) {
    const weight = Math.exp(logprob / temperature);
    if (id < got) below += weight;
    else if (id === got) within = weight;
    else above += weight;
  }
  const random = seededRandom(seed);
  // One draw for each token: the one of this step is the last of these.
  const draws = Array.from({ length: at + 1 }, random);
  const u = draws[at] ?? NaN;
  const drawn = logOdds(u, 1 - u);
  const [low, high] = [logOdds(below, within + above), logOdds(below + within, above)];
  return temperature * Math.max(0, low - drawn, drawn - high);
};
