import { addTo, dot, toUnit } from './vectors.ts';

/** Most prototypes of a label. */
export const maxPrototypes = 8;
const rounds = 5;

/** What the nearest prototype counts, beside the mean of the two nearest. */
const bestShare = 0.75;

/**
 * A few vectors of length 1 that stand for many: the vectors themselves where they are few, else centres by spherical
 * k-means, begun with vectors that are far from each other. The same vectors in the same order give the same.
 */
export const prototypesOf = (vectors: readonly Float32Array[]): readonly Float32Array[] => {
  if (vectors.length <= maxPrototypes) return vectors;
  let centres = farApart(vectors);
  for (let round = 0; round < rounds; round++) {
    const sums = centres.map((centre) => new Float32Array(centre.length));
    for (const vector of vectors) addTo(sums[nearestOf(vector, centres)] ?? vector.slice(), vector, 1);
    centres = sums.map((sum, index) => toUnit(sum) ?? centres[index] ?? sum);
  }
  return centres;
};

const farApart = (vectors: readonly Float32Array[]): readonly Float32Array[] => {
  const chosen: Float32Array[] = vectors.slice(0, 1);
  while (chosen.length < maxPrototypes) {
    const nearness = vectors.map((vector) => Math.max(...chosen.map((one) => dot(one, vector))));
    const next = vectors[nearness.indexOf(Math.min(...nearness))];
    if (next === undefined) break;
    chosen.push(next);
  }
  return chosen;
};

const nearestOf = (vector: Float32Array, centres: readonly Float32Array[]): number => {
  let best = 0;
  let most = Number.NEGATIVE_INFINITY;
  centres.forEach((centre, index) => {
    const near = dot(centre, vector);
    if (near > most) [best, most] = [index, near];
  });
  return best;
};

/** How near a vector is to the nearest prototypes, 0 to 1. One outlier alone does not decide. */
export const likeness = (vector: Float32Array, prototypes: readonly Float32Array[]): number => {
  let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const prototype of prototypes) {
    const near = dot(vector, prototype);
    if (near > first) [first, second] = [near, first];
    else if (near > second) second = near;
  }
  if (second === Number.NEGATIVE_INFINITY) second = first;
  const score = bestShare * first + (1 - bestShare) * ((first + second) / 2);
  return Math.min(1, Math.max(0, score));
};
