import { seededRandom } from '../../src/runtime/engine/random.ts';

/** Rounds of a bench: ADAPTLET_BENCH_ROUNDS for a short trial, else as many as its numbers need. */
export const roundsOf = (needed: number): number => Number(process.env['ADAPTLET_BENCH_ROUNDS'] ?? needed);

/** Orders that do not repeat within a run and are the same in every run. */
export const shuffler = (seed: number): (<T>(items: readonly T[]) => readonly T[]) => {
  const random = seededRandom(seed);
  return (items) =>
    items
      .map((item) => ({ item, place: random() }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item);
};
