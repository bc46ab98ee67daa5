import { type ArmCounts, pooled, total } from './counts.ts';
import type { Counters } from './reports.ts';
import { quantileOf } from './sketch.ts';
import type { Conditions, ThresholdSpec } from './spec.ts';
import { type Moment, text, tooLittle, type Verdict } from './verdict.ts';

type Range = NonNullable<Conditions['success']>;

const inside = (value: number, { atMost, atLeast }: Range): boolean =>
  value <= (atMost ?? Infinity) && value >= (atLeast ?? -Infinity);

/**
 * Holds a number against conditions, whoever measured it. A number that is none (NaN) is inconclusive. As in the analysis
 * of Argo Rollouts: failure wins over success, and one condition alone decides both ways.
 */
export const meets = (value: number, { success, failure }: Conditions): Verdict['verdict'] => {
  if (Number.isNaN(value)) return 'Inconclusive';
  if (failure !== undefined && inside(value, failure)) return 'Fail';
  if (success !== undefined) {
    if (inside(value, success)) return 'Pass';
    return failure === undefined ? 'Fail' : 'Inconclusive';
  }
  return 'Pass';
};

type Observed = { readonly value: number; readonly count: number };

/** A plain number of one arm and how many observations it comes from. */
const valueOf = (arm: ArmCounts, value: ThresholdSpec['value']): Observed => {
  const requests = total(arm.requests);
  const answered = requests - total(arm.errors);
  const feedbacks = total(arm.feedbacks);
  const quantile = (q: number): Observed => ({
    value: quantileOf(arm.latency, q) ?? Number.NaN,
    count: answered,
  });
  switch (value) {
    case 'errorRatio':
      return { value: total(arm.errors) / requests, count: requests };
    case 'latencyMean':
      return { value: arm.latencyMs / answered, count: answered };
    case 'latencyP50':
      return quantile(0.5);
    case 'latencyP90':
      return quantile(0.9);
    case 'latencyP95':
      return quantile(0.95);
    case 'latencyP99':
      return quantile(0.99);
    case 'reward':
      return { value: total(arm.rewards) / feedbacks, count: feedbacks };
  }
};

const limitText = ({ success, failure }: Conditions): string =>
  Object.entries({ success, failure })
    .flatMap(([name, range]) => (range === undefined ? [] : [`${name} ${JSON.stringify(range)}`]))
    .join(', ');

/**
 * A number against fixed limits, without any statistics: for promises such as "p99 below 500 ms". Looked at repeatedly it
 * is wrong by chance more often than one look suggests; failureLimit is the only remedy.
 */
export const judgeThreshold = (
  counters: Counters,
  spec: ThresholdSpec,
  moment: Moment = 'during',
): Verdict => {
  const canary = valueOf(pooled(counters.map((stratum) => stratum.canary)), spec.value);
  const stable = valueOf(pooled(counters.map((stratum) => stratum.stable)), spec.value);
  const counts = spec.of === 'Canary' ? [canary.count] : [canary.count, stable.count];
  if (Math.min(...counts) < spec.minSampleSize)
    return tooLittle(
      moment,
      `${Math.round(Math.min(...counts))} observations, ${spec.minSampleSize} are needed`,
    );
  const statistic = {
    Canary: canary.value,
    Difference: canary.value - stable.value,
    Ratio: canary.value / stable.value,
  }[spec.of];
  const verdict = meets(statistic, spec);
  if (!Number.isFinite(statistic)) return { verdict, message: `${spec.value} cannot be calculated` };
  const limit = spec.failure ?? spec.success;
  const bound = limit?.atMost ?? limit?.atLeast;
  return {
    verdict,
    statistic,
    ...(bound !== undefined && { bound }),
    message: `${spec.value} (${spec.of}) is ${text(statistic)}: ${limitText(spec)}`,
  };
};
