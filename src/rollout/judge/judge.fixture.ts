import * as fc from 'fast-check';
import { ArmCounter, buckets } from './counts.ts';
import type { Stratum } from './reports.ts';

/** Something that happened to one arm, in a bucket. */
export type Happening =
  | { readonly bucket: number; readonly ms: number }
  | { readonly bucket: number; readonly reward: number }
  | { readonly bucket: number };

export const happen = (counter: ArmCounter, what: Happening): void => {
  if ('ms' in what) counter.answered(what.bucket, what.ms);
  else if ('reward' in what) counter.rewarded(what.bucket, what.reward);
  else counter.failed(what.bucket);
};

const bucket = fc.nat(buckets - 1);
export const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ bucket, ms: fc.constantFrom(1, 2, 16, 256, 4096) }),
  fc.record({ bucket, reward: fc.constantFrom(-1, 0, 0.5, 1) }),
  fc.record({ bucket }),
);

export const armOf = (happenings: readonly Happening[]): ArmCounter => {
  const counter = new ArmCounter();
  for (const what of happenings) happen(counter, what);
  return counter;
};

/** `requests` spread evenly over all buckets, the first `errors` of them failed, the others took `ms`. */
export const evenArm = (
  requests: number,
  errors: number,
  ms: (i: number) => number = () => 100,
): ArmCounter => {
  const counter = new ArmCounter();
  for (let i = 0; i < requests; i += 1) {
    // 37 is coprime to 64: the errors are in different buckets.
    const at = (i * 37) % buckets;
    if (i < errors) counter.failed(at);
    else counter.answered(at, ms(i));
  }
  return counter;
};

export const stratum = (stable: ArmCounter, canary: ArmCounter, weight = 50, node = 'n1'): Stratum => ({
  node,
  weight,
  stable,
  canary,
});

/** Numbers in [0, 1) that depend on the seed only (mulberry32). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};
