import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { ArmCounts as WireArm, WeightCounts as WireCounts } from '../gen/adaptlet/control/v1/control.ts';
import { ArmCounter, type ArmCounts, buckets } from '../rollout/judge/counts.ts';
import type { WeightCounts } from '../rollout/judge/reports.ts';
import { isInRange } from '../rollout/judge/sketch.ts';
import { rewardedFromWire, rewardedToWire } from './rewards-wire.ts';

/** Of sums: far from every real one, and so that sums over any fleet, and their squares, stay finite. */
const largest = 1e100;
const largestCount = 2 ** 32 - 1;

/** Shared by all arms that have nothing to say of something: most of them. */
const zeros: readonly number[] = Object.freeze(Array.from({ length: buckets }, () => 0));

/** Lists of nothing but zeros are left out. */
export const countsToWire = ({ weight, seq, stable, canary, rewarded }: WeightCounts): WireCounts => ({
  weight,
  seq: BigInt(seq),
  stable: armToWire(stable),
  canary: armToWire(canary),
  rewarded: rewardedToWire(rewarded),
});

const armToWire = (arm: ArmCounts): WireArm => ({
  requests: countList(arm.requests),
  errors: countList(arm.errors),
  logLatency: sumList(arm.logLatency),
  logLatencySquares: arm.logLatencySquares,
  latencyMs: arm.latencyMs,
  latencyFirst: arm.latency.first,
  latencyCounts: arm.latency.counts.map(counted),
  feedbacks: countList(arm.feedbacks),
  rewards: sumList(arm.rewards),
  rewardSquares: arm.rewardSquares,
});

/** A count that has outgrown its field stands still: the encoder would refuse it, and with it the whole report. */
const counted = (count: number): number => Math.min(count, largestCount);
const sumList = (sums: readonly number[]): number[] => (sums.some((sum) => sum !== 0) ? [...sums] : []);
const countList = (counts: readonly number[]): number[] => sumList(counts).map(counted);

/**
 * Reads what a runtime sent.
 * @throws HELLO_INVALID for what no runtime sends
 */
export const countsFromWire = ({ weight, seq, stable, canary, rewarded }: WireCounts): WeightCounts => {
  if (weight < 1 || weight > 100) throw invalid(`counts are about the weight ${weight}`);
  return {
    weight,
    seq: Math.min(Number(seq), Number.MAX_SAFE_INTEGER),
    stable: armFrom(stable),
    canary: armFrom(canary),
    ...(rewarded === undefined ? {} : { rewarded: rewardedFromWire(rewarded) }),
  };
};

const armFrom = (wire: WireArm | undefined): ArmCounts => {
  if (wire === undefined) return none;
  const latency = { first: wire.latencyFirst, counts: wire.latencyCounts };
  if (!isInRange(latency)) throw invalid('a latency sketch of counts has bins that there are not');
  const requests = list(wire.requests, 'requests');
  const errors = list(wire.errors, 'errors');
  if (errors.some((count, bucket) => count > (requests[bucket] ?? 0)))
    throw invalid('counts have more errors than requests');
  return {
    requests,
    errors,
    logLatency: list(wire.logLatency, 'log_latency'),
    logLatencySquares: total(wire.logLatencySquares, 'log_latency_squares'),
    latencyMs: total(wire.latencyMs, 'latency_ms'),
    latency,
    feedbacks: list(wire.feedbacks, 'feedbacks'),
    rewards: list(wire.rewards, 'rewards'),
    rewardSquares: total(wire.rewardSquares, 'reward_squares'),
  };
};

const none: ArmCounts = Object.freeze(new ArmCounter().snapshot());

const list = (values: readonly number[], name: string): readonly number[] => {
  if (values.length === 0) return zeros;
  if (values.length !== buckets)
    throw invalid(`${name} of counts has ${values.length} entries, there are ${buckets} buckets`);
  for (const value of values) {
    // NaN is not below anything.
    if (!(Math.abs(value) <= largest)) throw invalid(`${name} of counts has ${value} where a sum belongs`);
  }
  return values;
};

const total = (value: number, name: string): number => {
  if (value >= 0 && value <= largest) return value;
  throw invalid(`${name} of counts is ${value}, it must be a sum of squares or times`);
};

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
