import { randomInt } from 'node:crypto';

/** Seconds for which a file disturbs: `short` of them in CI, `ADAPTLET_SOAK_SECONDS` in `make soak`. */
export const soakSeconds = (short: number): number => Number(process.env['ADAPTLET_SOAK_SECONDS'] ?? short);

/** The seed of a file's random choices: `ADAPTLET_CHAOS_SEED` repeats those of another run. It is printed. */
export const chaosSeed = (): number => {
  const seed = Number(process.env['ADAPTLET_CHAOS_SEED'] ?? randomInt(1_000_000));
  console.log(`ADAPTLET_CHAOS_SEED=${seed}`);
  return seed;
};
