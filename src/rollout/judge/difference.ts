import { buckets, total } from './counts.ts';
import type { Sums } from './measure.ts';

/** One stratum as numbers. */
export type Pair = { readonly stable: Sums; readonly canary: Sums };

/** The difference of two means, canary - stable, within strata. */
export type Difference = {
  readonly value: number;
  /** Plain means over all strata, for people: `value` is not their difference when nodes differ. */
  readonly means: { readonly stable: number; readonly canary: number };
  /** Observations in strata that have both arms. */
  readonly observations: { readonly stable: number; readonly canary: number };
  /** How many equally busy buckets would spread as the fewer of both arms does: how many independent callers there are. */
  readonly effectiveBuckets: number;
  /** Degrees of freedom of the variance: effective buckets of both arms, less their two means. */
  readonly clusterFreedom: number;
  /** Observations per arm of an equal split that would say as much. */
  readonly size: number;
  /** How many times the variance of independent requests the variance is, about: sticky users are few. */
  readonly designEffect: number;
  /** Squared standard error of `value`, if the true difference were `hypothesis`. */
  variance(hypothesis: number): number;
};

type Fit = Pair & {
  readonly stableCount: number;
  readonly canaryCount: number;
  readonly stableSum: number;
  readonly canarySum: number;
};

const fitOf = (pair: Pair): Fit => ({
  ...pair,
  stableCount: total(pair.stable.counts),
  canaryCount: total(pair.canary.counts),
  stableSum: total(pair.stable.sums),
  canarySum: total(pair.canary.sums),
});

/** W of a stratum: the precision that it adds, n1 n2 / (n1 + n2). */
const precision = ({ stableCount, canaryCount }: Fit): number =>
  (stableCount * canaryCount) / (stableCount + canaryCount);

/**
 * The difference of means with an intercept for each stratum, and its variance over hash buckets.
 *
 * This is least squares of y on (stratum, arm) with a cluster-robust variance (Liang, Zeger 1986) with the
 * correction for leverage of Bell and McCaffrey (2002, CR2), by cell of stratum and bucket: with few requests per node the
 * intercepts take up much of what callers differ in. The weights are those of Mantel and Haenszel. A cluster is a bucket of
 * an arm: users are sticky, so their requests are not independent.
 *
 * The variance is the larger of two, because each fails where the other does not:
 * - cluster-robust: right when the arms differ in spread, too small while an arm is small and has seen no error yet;
 * - pooled over both arms under the hypothesis (a score test), times the design effect.
 *
 * Undefined while no stratum has observations of both arms, or when there are not more observations than strata.
 */
export const differenceOf = (pairs: readonly Pair[]): Difference | undefined => {
  const fits = pairs.map(fitOf).filter((fit) => fit.stableCount > 0 && fit.canaryCount > 0);
  const sum = (of: (fit: Fit) => number): number => fits.reduce((all, fit) => all + of(fit), 0);
  const observations = { stable: sum((fit) => fit.stableCount), canary: sum((fit) => fit.canaryCount) };
  const freedom = observations.stable + observations.canary - fits.length - 1;
  const weight = sum(precision);
  if (fits.length === 0 || freedom <= 0) return undefined;
  const value =
    sum((fit) => precision(fit) * (fit.canarySum / fit.canaryCount - fit.stableSum / fit.stableCount)) /
    weight;
  const { scores, residuals, squares } = residualsOf(fits, value, weight);
  const robust = squaresOf(scores) / weight ** 2;
  const perObservation = squares / freedom;
  const independent = perObservation / weight;
  const all = observations.stable + observations.canary;
  const together = squares > 0 ? Math.max(1, squaresOf(residuals.sums) / (all * perObservation)) : 1;
  const effectiveBuckets = [
    effectiveOf(residuals.counts.slice(0, buckets)),
    effectiveOf(residuals.counts.slice(buckets)),
  ];
  return {
    value,
    means: {
      stable: sum((fit) => fit.stableSum) / observations.stable,
      canary: sum((fit) => fit.canarySum) / observations.canary,
    },
    observations,
    effectiveBuckets: Math.min(...effectiveBuckets),
    clusterFreedom: total(effectiveBuckets) - 2,
    size: 2 * weight,
    designEffect: independent > 0 ? Math.max(together, robust / independent) : 1,
    variance: (hypothesis) =>
      Math.max(
        robust,
        (((squares + weight * (value - hypothesis) ** 2) / (freedom + 1)) * together) / weight,
      ),
  };
};

const squaresOf = (values: readonly number[]): number =>
  values.reduce((all, value) => all + value * value, 0);

/** Kish's effective sample size of clusters: 64 when all buckets are equally busy. */
export const effectiveOf = (counts: readonly number[]): number => total(counts) ** 2 / squaresOf(counts);

/** A cell that is the whole of an arm fits itself: its deviation is 0 and says nothing. */
const maxLeverage = 0.9;

/** Clusters 0 to 63 are the buckets of stable, 64 to 127 those of the canary. */
const residualsOf = (fits: readonly Fit[], value: number, weight: number) => {
  const scores = Array.from({ length: 2 * buckets }, () => 0);
  const sums = [...scores];
  const counts = [...scores];
  let squares = 0;
  for (const fit of fits) {
    const count = fit.stableCount + fit.canaryCount;
    const intercept = (fit.stableSum + fit.canarySum - value * fit.canaryCount) / count;
    const arms = [
      { arm: fit.stable, first: 0, mean: intercept, leverage: -fit.canaryCount / count },
      { arm: fit.canary, first: buckets, mean: intercept + value, leverage: fit.stableCount / count },
    ];
    for (const { arm, first, mean, leverage } of arms) {
      squares += arm.squares;
      for (let b = 0; b < buckets; b += 1) {
        const n = arm.counts[b] ?? 0;
        if (n === 0) continue;
        const y = arm.sums[b] ?? 0;
        // What the fit takes from a cell of its own deviation, its leverage, is given back: CR2.
        const own = Math.min(maxLeverage, n * (1 / count + leverage ** 2 / weight));
        const residual = (y - mean * n) / Math.sqrt(1 - own);
        squares += mean * (mean * n - 2 * y);
        scores[first + b] = (scores[first + b] ?? 0) + leverage * residual;
        sums[first + b] = (sums[first + b] ?? 0) + residual;
        counts[first + b] = (counts[first + b] ?? 0) + n;
      }
    }
  }
  return { scores, residuals: { sums, counts }, squares: Math.max(0, squares) };
};
