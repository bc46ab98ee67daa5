import type { Sampling } from '../engine.ts';

/** A token that can still be drawn. Loops are by index: an iterator over a vocabulary costs a tenth of a step. */
export type Candidate = { readonly id: number; readonly weight: number };

/** Likeliest first; of equals the lower id, so that the order does not depend on the sort. */
const byWeight = (a: Candidate, b: Candidate): number => b.weight - a.weight || a.id - b.id;

/** The `count` likeliest, in order. Most tokens only cost the comparison with the last one kept. */
export const likeliest = (weights: ArrayLike<number>, count: number): Candidate[] => {
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

/** Those of at least `floor`, by id. */
const atLeast = (weights: Float64Array, floor: number): Candidate[] => {
  const all: Candidate[] = [];
  for (let id = 0; id < weights.length; id += 1) {
    const weight = weights[id] ?? 0;
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

const sumOf = (all: readonly Candidate[]): number => all.reduce((sum, { weight }) => sum + weight, 0);

/**
 * What top-k and then top-p leave, likeliest first. top-p counts within what top-k left. Alone it needs no place in the
 * order for tokens below (1-p)/vocabulary of the total: all of them together do not reach what it cuts off.
 */
const topKThenP = (weights: Float64Array, { topK, topP }: Sampling): readonly Candidate[] => {
  if (topK > 0) {
    const kept = likeliest(weights, topK);
    return topP < 1 ? nucleus(kept, topP, sumOf(kept)) : kept;
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return nucleus(atLeast(weights, ((1 - topP) * total) / weights.length).sort(byWeight), topP, total);
};

/**
 * Tokens that top-k, top-p and then min-p leave of unnormalised probabilities. min-p is a share of the likeliest one's
 * probability, which the filters before do not change.
 */
export const candidates = (weights: Float64Array, sampling: Sampling): readonly Candidate[] => {
  const { topK, topP, minP = 0 } = sampling;
  const floor = minP * weights.reduce((most, weight) => Math.max(most, weight), 0);
  if (topK === 0 && topP === 1) return atLeast(weights, floor);
  const left = topKThenP(weights, sampling);
  return minP === 0 ? left : left.filter(({ weight }) => weight >= floor);
};
