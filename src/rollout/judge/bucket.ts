import { hash64 } from '../hash.ts';
import { points } from '../splitter.ts';

/** Hash buckets of an arm. All requests of one user are in one bucket: buckets are independent, requests are not. */
export const buckets = 64;

/**
 * Bucket of a key, 0 to 63. It takes the part of the hash that the split does not look at, so that a canary at one percent
 * has users in all of them, and a user who moves to the canary stays in the same one.
 */
export const bucketOf = (seed: string, key: string): number =>
  Number((hash64(key, BigInt(`0x${seed}`)) / BigInt(points)) % BigInt(buckets));
