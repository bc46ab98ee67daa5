import { studentTail } from './normal.ts';
import type { Counters } from './reports.ts';
import { compare } from './sequential.ts';
import { binsOfFactor, type Sketch, totalOf } from './sketch.ts';
import type { MannWhitneySpec } from './spec.ts';
import { lacking, type Moment, text, tooLittle, type Verdict } from './verdict.ts';

/** U of the second sample against the first, with its expectation and variance if both come from one distribution. */
export type RankSum = { readonly u: number; readonly expected: number; readonly variance: number };

/**
 * Mann, Whitney (1947): the number of pairs in which the second sample has the greater value, ties as half; the variance
 * is corrected for ties, which are many in a sketch. `shift`: bins to take off the second sample.
 */
export const rankSum = (first: Sketch, second: Sketch, shift = 0): RankSum => {
  const [m, n] = [totalOf(first), totalOf(second)];
  const from = Math.min(first.first, second.first - shift);
  const to = Math.max(first.first + first.counts.length, second.first - shift + second.counts.length);
  let below = 0;
  let u = 0;
  let ties = 0;
  for (let bin = from; bin < to; bin += 1) {
    const a = first.counts[bin - first.first] ?? 0;
    const b = second.counts[bin + shift - second.first] ?? 0;
    u += b * (below + a / 2);
    below += a;
    ties += (a + b) ** 3 - (a + b);
  }
  const all = m + n;
  const variance = all < 2 ? 0 : ((m * n) / 12) * (all + 1 - ties / (all * (all - 1)));
  return { u, expected: (m * n) / 2, variance };
};

/**
 * Is the latency of the canary shifted up as a whole? One look, at the end of a step: before that it is Running.
 *
 * Ranks are compared within each node and added up with the weights of van Elteren (1960). The variance is that of
 * independent requests times the design effect that the hash buckets show for the logarithm of the latency; a canary that
 * is slower by up to allowedIncrease is shifted back first, in bins of the sketch (4 %).
 */
export const judgeMannWhitney = (
  counters: Counters,
  spec: MannWhitneySpec,
  moment: Moment = 'during',
): Verdict => {
  if (moment !== 'end') return { verdict: 'Running', message: 'judged at the end of the step' };
  const found = compare(counters, 'latency');
  const missing = lacking(found, spec.minSampleSize);
  if (found === undefined || missing !== undefined) return tooLittle(moment, missing ?? '');
  const shift = binsOfFactor(1 + spec.allowedIncrease);
  let excess = 0;
  let variance = 0;
  let greater = 0;
  let pairs = 0;
  for (const { stable, canary } of counters) {
    const ranks = rankSum(stable.latency, canary.latency, shift);
    if (ranks.expected === 0) continue;
    const weight = 1 / (totalOf(stable.latency) + totalOf(canary.latency) + 1);
    excess += weight * (ranks.u - ranks.expected);
    variance += weight ** 2 * ranks.variance;
    greater += weight * ranks.u;
    pairs += weight * 2 * ranks.expected;
  }
  const p =
    variance > 0 ? studentTail(excess / Math.sqrt(variance * found.designEffect), found.clusterFreedom) : 1;
  return {
    verdict: p < spec.alpha ? 'Fail' : 'Pass',
    statistic: p,
    bound: spec.alpha,
    message: `a request of the canary is slower than one of stable in ${text((100 * greater) / pairs)} % of pairs, p = ${text(p)}`,
  };
};
