import type { Sampling } from '../engine.ts';

/** A token that can still be drawn. Loops are by index: an iterator over a vocabulary costs a tenth of a step. */
export type Candidate = { readonly id: number; readonly weight: number };

/** Likeliest first; of equals the lower id, so that the order does not depend on the sort. */
const byWeight = (a: Candidate, b: Candidate): number => b.weight - a.weight || a.id - b.id;

/** The `count` likeliest, in order. Most tokens only cost the comparison with the last one kept. */
export const likeliest = (weights: ArrayLike<number>, count: number): Candidate[] => {
  const kept: Candidate[] = [];
  let min = -Infinity;
  for (let id = 0; id < weights.length; id += 1) {
    const weight = weights[id] ?? 0;
    if (weight <= min) continue;
    let low = 0;
    for (let high = kept.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((kept[middle]?.weight ?? 0) >= weight) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, { id, weight });
    if (kept.length > count) kept.pop();
    if (kept.length === count) min = kept.at(-1)?.weight ?? min;
  }
  return kept;
};

/** What makes weights of logits: multiples of the weight of the largest one, `top`. */
export type Scale = { readonly top: number; readonly temperature: number };

const weightOf = (logit: number, { top, temperature }: Scale): number =>
  Math.exp((logit - top) / temperature);

/** The weight of every token, written into `weights`. */
export const allWeights = (logits: ArrayLike<number>, scale: Scale, weights: Float64Array): void => {
  for (let id = 0; id < weights.length; id += 1) weights[id] = weightOf(logits[id] ?? 0, scale);
};

/** Those of at least `floor`, by id. */
const atLeast = (values: ArrayLike<number>, floor: number): Candidate[] => {
  const all: Candidate[] = [];
  for (let id = 0; id < values.length; id += 1) {
    const weight = values[id] ?? 0;
    if (weight >= floor) all.push({ id, weight });
  }
  return all;
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

const sumOf = (all: ArrayLike<number>): number => {
  let sum = 0;
  for (let index = 0; index < all.length; index += 1) sum += all[index] ?? 0;
  return sum;
};

/** Candidates whose weights are logits, with their weights. Exponentials of a whole vocabulary cost more than choosing from it. */
const weighed = (all: readonly Candidate[], scale: Scale): readonly Candidate[] =>
  all.map(({ id, weight }) => ({ id, weight: weightOf(weight, scale) }));

/**
 * What top-p leaves of all tokens, likeliest first. It needs no place in the order for tokens below (1-p)/vocabulary of
 * the total: all of them together do not reach what it cuts off.
 */
const topPOfAll = (
  logits: ArrayLike<number>,
  scale: Scale,
  { topP, weights }: { readonly topP: number; readonly weights: Float64Array },
): readonly Candidate[] => {
  allWeights(logits, scale, weights);
  const total = sumOf(weights);
  return nucleus(atLeast(weights, ((1 - topP) * total) / weights.length).sort(byWeight), topP, total);
};

/**
 * Tokens that top-k, top-p within what that left, and then min-p leave, with their weights. min-p is a share of the likeliest
 * one's probability, which the filters before do not change. One of the three is on. `weights` is room for all of them.
 */
export const candidates = (
  logits: Float32Array | Float64Array,
  { topK, topP, minP = 0, temperature }: Sampling,
  { top, weights }: { readonly top: number; readonly weights: Float64Array },
): readonly Candidate[] => {
  const scale = { top, temperature };
  if (topK === 0 && topP === 1) {
    // A little lower than min-p says: it is the weight that decides.
    const near = atLeast(logits, top + temperature * Math.log(minP) - temperature * 1e-6);
    return weighed(near, scale).filter(({ weight }) => weight >= minP);
  }
  if (topK === 0) return topPOfAll(logits, scale, { topP, weights }).filter(({ weight }) => weight >= minP);
  const kept = weighed(likeliest(logits, topK), scale);
  const left = topP < 1 ? nucleus(kept, topP, sumOf(kept.map(({ weight }) => weight))) : kept;
  return left.filter(({ weight }) => weight >= minP);
};
