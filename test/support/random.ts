/** Reproducible choices (mulberry32): the same seed makes the same ones. */
export const seeded = (seed: number) => {
  let state = seed >>> 0;
  /** Uniform in [0, 1). */
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (least: number, most: number): number => least + next() * (most - least),
    pick: <T>(from: readonly T[]): T => {
      const picked = from[Math.floor(next() * from.length)];
      if (picked === undefined) throw new RangeError('there is nothing to pick from');
      return picked;
    },
  };
};
export type Seeded = ReturnType<typeof seeded>;

/**
 * Of a test that makes choices at random while processes run: `ADAPTLET_CHAOS_SEED=N` makes those of another run again, not
 * at the same moments. The test puts it into its title, so that the report of a failure names it.
 */
export const chaosSeed = (): number =>
  Number(process.env['ADAPTLET_CHAOS_SEED'] ?? Math.floor(Math.random() * 1_000_000));
