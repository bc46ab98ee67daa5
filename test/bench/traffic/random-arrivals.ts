/** Milliseconds to the next event of a Poisson process with this mean between two events. */
export const exponentialMs = (random: () => number, meanMs: number): number =>
  // 1 - random() is never 0, whose logarithm is infinite.
  -Math.log(1 - random()) * meanMs;

/** One of them, each as often as the others. */
export const pick = <T>(random: () => number, from: readonly T[]): T => {
  const picked = from[Math.floor(random() * from.length)];
  if (picked === undefined) throw new RangeError('there is nothing to pick from');
  return picked;
};
