import { type ArmCounts, total } from './counts.ts';
import type { Counters, Stratum } from './reports.ts';

/** What one runtime counted weighs at most as much as so many times the median of the others. */
export const maxMultiple = 4;

/**
 * Factors by which amounts are reduced to at most {@link maxMultiple} times the median of the others, at most 1. Who has
 * nothing is no other: a median of zeros would take everything from the few that have traffic.
 */
export const fairFactors = (amounts: readonly number[]): readonly number[] => {
  const sorted = amounts.filter((amount) => amount > 0).toSorted((a, b) => a - b);
  return amounts.map((amount) => {
    const others = sorted.length - 1;
    if (!(amount > 0) || others < 1) return 1;
    // The lower one of two in the middle: the higher may be the one that is too high.
    const middle = (others - 1) >> 1;
    const isAfter = amount <= (sorted[middle] ?? 0);
    const median = sorted[isAfter ? middle + 1 : middle] ?? amount;
    return Math.min(1, (maxMultiple * median) / amount);
  });
};

const scaled = (values: readonly number[], by: number): readonly number[] =>
  by === 1 ? values : values.map((value) => value * by);

const scaledArm = (arm: ArmCounts, requests: number, feedbacks: number): ArmCounts => ({
  requests: scaled(arm.requests, requests),
  errors: scaled(arm.errors, requests),
  logLatency: scaled(arm.logLatency, requests),
  logLatencySquares: arm.logLatencySquares * requests,
  latencyMs: arm.latencyMs * requests,
  latency: { first: arm.latency.first, counts: scaled(arm.latency.counts, requests) },
  feedbacks: scaled(arm.feedbacks, feedbacks),
  rewards: scaled(arm.rewards, feedbacks),
  rewardSquares: arm.rewardSquares * feedbacks,
});

/** The strata of each node. */
export const nodesOf = (counters: Counters): readonly (readonly Stratum[])[] => [
  ...Map.groupBy(counters, ({ node }) => node).values(),
];

const smaller = (a: readonly number[], b: readonly number[]): readonly number[] =>
  a.map((factor, i) => Math.min(factor, b[i] ?? 1));

/**
 * Counters in which no node has more requests, or more feedback, of an arm than {@link maxMultiple} times the median of the
 * others: a node that has more counts as if it had so many, with the same means. So nobody makes a large sample of a
 * small one. The factors depend on how much was counted and not on what was found; a node with fewer requests is held
 * for less certain than it is, so the judges stay as careful as they are.
 */
export const withFairShares = (counters: Counters): Counters => {
  const nodes = nodesOf(counters);
  const factorsOf = (of: (stratum: Stratum) => readonly number[]): readonly number[] =>
    fairFactors(nodes.map((strata) => strata.reduce((sum, stratum) => sum + total(of(stratum)), 0)));
  const requests = smaller(
    factorsOf(({ stable }) => stable.requests),
    factorsOf(({ canary }) => canary.requests),
  );
  const feedbacks = smaller(
    factorsOf(({ stable }) => stable.feedbacks),
    factorsOf(({ canary }) => canary.feedbacks),
  );
  return nodes.flatMap((strata, i) => {
    const [r, f] = [requests[i] ?? 1, feedbacks[i] ?? 1];
    if (r === 1 && f === 1) return strata;
    return strata.map((stratum) => ({
      ...stratum,
      stable: scaledArm(stratum.stable, r, f),
      canary: scaledArm(stratum.canary, r, f),
    }));
  });
};
