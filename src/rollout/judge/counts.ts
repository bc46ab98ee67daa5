import { z } from 'zod';
import { hash64 } from '../hash.ts';
import { points } from '../splitter.ts';
import { countedMs, LatencySketch, type Sketch, sketchSchema } from './sketch.ts';

/** Hash buckets of an arm. All requests of one user are in one bucket: buckets are independent, requests are not. */
export const buckets = 64;

/**
 * Bucket of a key, 0 to 63. It takes the part of the hash that the split does not look at, so that a canary at one percent
 * has users in all of them, and a user who moves to the canary stays in the same one.
 */
export const bucketOf = (seed: string, key: string): number =>
  Number((hash64(key, BigInt(`0x${seed}`)) / BigInt(points)) % BigInt(buckets));

const perBucket = <Item extends z.ZodNumber>(item: Item) => z.array(item).length(buckets).readonly();
const count = z.int().min(0);

/**
 * What one arm did, cumulative. Lists have one entry for each hash bucket: what users did together is what the variance
 * is taken over. Squares are needed for the arm as a whole only.
 */
export const armCountsSchema = z
  .strictObject({
    requests: perBucket(count),
    errors: perBucket(count),
    /** Sums of ln(milliseconds) of the requests that were answered, which are requests - errors. */
    logLatency: perBucket(z.number()),
    logLatencySquares: z.number().min(0),
    /** Sum of the milliseconds themselves, for a mean that people know. */
    latencyMs: z.number().min(0),
    latency: sketchSchema,
    feedbacks: perBucket(count),
    rewards: perBucket(z.number()),
    rewardSquares: z.number().min(0),
  })
  .readonly();

export type ArmCounts = {
  readonly requests: readonly number[];
  readonly errors: readonly number[];
  readonly logLatency: readonly number[];
  readonly logLatencySquares: number;
  readonly latencyMs: number;
  readonly latency: Sketch;
  readonly feedbacks: readonly number[];
  readonly rewards: readonly number[];
  readonly rewardSquares: number;
};

const zeros = (): number[] => Array.from({ length: buckets }, () => 0);
const add = (to: number[], at: number, by: number): void => {
  to[at] = (to[at] ?? 0) + by;
};

/** Counts that grow. Readable as {@link ArmCounts} at any time; whoever keeps a state of it takes a snapshot. */
export class ArmCounter implements ArmCounts {
  readonly requests = zeros();
  readonly errors = zeros();
  readonly logLatency = zeros();
  logLatencySquares = 0;
  latencyMs = 0;
  readonly latency = new LatencySketch();
  readonly feedbacks = zeros();
  readonly rewards = zeros();
  rewardSquares = 0;

  answered(bucket: number, ms: number): void {
    const counted = countedMs(ms);
    const log = Math.log(counted);
    add(this.requests, bucket, 1);
    add(this.logLatency, bucket, log);
    this.logLatencySquares += log * log;
    this.latencyMs += counted;
    this.latency.add(counted);
  }

  failed(bucket: number): void {
    add(this.requests, bucket, 1);
    add(this.errors, bucket, 1);
  }

  /** `instead`: the reward that was counted for the same request before, when it is replaced. */
  rewarded(bucket: number, reward: number, instead?: number): void {
    add(this.feedbacks, bucket, instead === undefined ? 1 : 0);
    add(this.rewards, bucket, reward - (instead ?? 0));
    this.rewardSquares = Math.max(0, this.rewardSquares + reward ** 2 - (instead ?? 0) ** 2);
  }

  include(other: ArmCounts): void {
    for (let b = 0; b < buckets; b += 1) {
      add(this.requests, b, other.requests[b] ?? 0);
      add(this.errors, b, other.errors[b] ?? 0);
      add(this.logLatency, b, other.logLatency[b] ?? 0);
      add(this.feedbacks, b, other.feedbacks[b] ?? 0);
      add(this.rewards, b, other.rewards[b] ?? 0);
    }
    this.logLatencySquares += other.logLatencySquares;
    this.latencyMs += other.latencyMs;
    this.latency.merge(other.latency);
    this.rewardSquares += other.rewardSquares;
  }

  /** Plain data, for a report. */
  snapshot(): ArmCounts {
    return {
      requests: [...this.requests],
      errors: [...this.errors],
      logLatency: [...this.logLatency],
      logLatencySquares: this.logLatencySquares,
      latencyMs: this.latencyMs,
      latency: { first: this.latency.first, counts: [...this.latency.counts] },
      feedbacks: [...this.feedbacks],
      rewards: [...this.rewards],
      rewardSquares: this.rewardSquares,
    };
  }
}

/** Sum of several, as plain data. */
export const pooled = (parts: Iterable<ArmCounts>): ArmCounts => {
  const sum = new ArmCounter();
  for (const part of parts) sum.include(part);
  return sum.snapshot();
};

export const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
