import { studentised, twoSidedBoundary } from './boundary.ts';
import { type ArmCounts, buckets, pooled, total } from './counts.ts';
import { effectiveOf } from './difference.ts';
import { type Sums, sumsOf } from './measure.ts';
import type { Counters } from './reports.ts';
import { compare, tightestAt } from './sequential.ts';
import type { RewardSpec } from './spec.ts';
import { lacking, type Moment, minEffectiveBuckets, text, tooLittle, type Verdict } from './verdict.ts';

/** A mean with a confidence sequence: the truth is between low and high at every look, with a chance of 1 - alpha. */
export type Variant = {
  readonly count: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
};

export type RewardVerdict = Verdict & {
  /** The report of an A/B test; absent for a variant with feedback of too few callers, or with little that is all alike. */
  readonly variants: { readonly stable?: Variant; readonly canary?: Variant };
};

/** Squared standard error of the mean over buckets, and never less than of independent observations. */
const varianceOfMean = ({ counts, sums, squares }: Sums, count: number, mean: number): number => {
  let clustered = 0;
  let clusters = 0;
  for (let b = 0; b < buckets; b += 1) {
    const n = counts[b] ?? 0;
    clustered += ((sums[b] ?? 0) - mean * n) ** 2;
    clusters += n > 0 ? 1 : 0;
  }
  const independent = (squares - mean * mean * count) / (count - 1) / count;
  return Math.max(0, independent, ((clustered / count ** 2) * clusters) / Math.max(1, clusters - 1));
};

const variantOf = (arm: ArmCounts, { alpha, minSampleSize }: RewardSpec): Variant | undefined => {
  const sums = sumsOf('reward', arm);
  const count = total(sums.counts);
  const effective = effectiveOf(sums.counts);
  // Not >=: without feedback it is NaN.
  if (!(effective >= minEffectiveBuckets)) return undefined;
  const mean = total(sums.sums) / count;
  const variance = varianceOfMean(sums, count, mean);
  // A handful that are all the same prove nothing about the next one.
  if (variance === 0 && count < minSampleSize) return undefined;
  const margin =
    Math.sqrt(variance) *
    studentised(
      twoSidedBoundary({ alpha, size: count, tightestAt: tightestAt(minSampleSize) }),
      effective - 1,
    );
  return { count: Math.round(count), mean, low: mean - margin, high: mean + margin };
};

const variantsOf = (counters: Counters, spec: RewardSpec): RewardVerdict['variants'] => {
  const stable = variantOf(pooled(counters.map((stratum) => stratum.stable)), spec);
  const canary = variantOf(pooled(counters.map((stratum) => stratum.canary)), spec);
  return { ...(stable !== undefined && { stable }), ...(canary !== undefined && { canary }) };
};

/**
 * Which variant of an A/B test earns more `Feedback`? Sequential in both directions, so that it may be looked at and ended
 * at any time (boundary.ts).
 *
 * Pass: the canary is surely better, or surely worse by no more than is allowed. Fail: surely worse by more than that.
 * Inconclusive: the test ended and neither was shown.
 */
export const judgeReward = (
  counters: Counters,
  spec: RewardSpec,
  moment: Moment = 'during',
): RewardVerdict => {
  const variants = variantsOf(counters, spec);
  const found = compare(counters, 'reward');
  const missing = lacking(found, spec.minSampleSize);
  if (found === undefined || missing !== undefined) return { ...tooLittle(moment, missing ?? ''), variants };
  const margin =
    Math.sqrt(found.variance(-spec.allowedDecrease)) *
    studentised(
      twoSidedBoundary({ alpha: spec.alpha, size: found.size, tightestAt: tightestAt(spec.minSampleSize) }),
      found.clusterFreedom,
    );
  const [low, high] = [found.value - margin, found.value + margin];
  const result = (verdict: Verdict['verdict'], bound: number): RewardVerdict => ({
    verdict,
    statistic: found.value,
    bound,
    message: `mean reward of the canary minus that of stable is ${text(found.value)}, surely from ${text(low)} to ${text(high)} (${Math.round(found.observations.canary)} feedbacks of the canary)`,
    variants,
  });
  if (high < -spec.allowedDecrease) return result('Fail', high);
  if (margin > 0 && low > -spec.allowedDecrease) return result('Pass', low);
  return result(moment === 'end' ? 'Inconclusive' : 'Running', low);
};
