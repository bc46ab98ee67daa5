import { studentised, twoSidedBoundary } from './boundary.ts';
import { buckets, total } from './counts.ts';
import { effectiveOf } from './difference.ts';
import type { Counters } from './reports.ts';
import { tightestAt } from './sequential.ts';
import type { SampleRatioSpec } from './spec.ts';
import { lacking, type Moment, text, tooLittle, type Verdict } from './verdict.ts';

/**
 * Does the split that was observed contradict the weights? Then requests of one arm get lost or go elsewhere, and no
 * comparison of the arms can be trusted: Inconclusive, a person should look. (Fabijan et al. 2019, "Diagnosing sample
 * ratio mismatch in online controlled experiments", KDD.)
 *
 * A chi-square test would count sticky requests as independent and cry wolf. Here each hash bucket gives one deviation
 * (canary requests minus what the weight expects); their sum is held against a confidence sequence with the variance over
 * the buckets (boundary.ts), and never less than the binomial one.
 */
export const judgeSampleRatio = (
  counters: Counters,
  spec: SampleRatioSpec,
  moment: Moment = 'during',
): Verdict => {
  const split = counters.filter(({ weight }) => weight > 0 && weight < 100);
  const deviations = Array.from({ length: buckets }, () => 0);
  const requests = [...deviations];
  const observations = { stable: 0, canary: 0 };
  let binomial = 0;
  let expected = 0;
  for (const { weight, stable, canary } of split) {
    const share = weight / 100;
    for (let b = 0; b < buckets; b += 1) {
      const [s, c] = [stable.requests[b] ?? 0, canary.requests[b] ?? 0];
      deviations[b] = (deviations[b] ?? 0) + (1 - share) * c - share * s;
      requests[b] = (requests[b] ?? 0) + s + c;
      binomial += share * (1 - share) * (s + c);
      expected += share * (s + c);
      observations.stable += s;
      observations.canary += c;
    }
  }
  const all = total(requests);
  const effectiveBuckets = effectiveOf(requests);
  if (all < spec.minSampleSize)
    return tooLittle(moment, `${Math.round(all)} requests, ${spec.minSampleSize} are needed`);
  const missing = lacking({ observations, effectiveBuckets }, 0);
  if (missing !== undefined) return tooLittle(moment, missing);
  const deviation = total(deviations);
  const mean = deviation / buckets;
  const clustered = (deviations.reduce((sum, d) => sum + (d - mean) ** 2, 0) * buckets) / (buckets - 1);
  const margin =
    Math.sqrt(Math.max(binomial, clustered)) *
    studentised(
      twoSidedBoundary({ alpha: spec.alpha, size: all, tightestAt: tightestAt(spec.minSampleSize) }),
      effectiveBuckets - 1,
    );
  const sure = Math.sign(deviation) * Math.max(0, Math.abs(deviation) - margin);
  return {
    verdict: sure === 0 ? 'Pass' : 'Inconclusive',
    statistic: observations.canary / all,
    bound: expected / all,
    message: `the canary got ${text((100 * observations.canary) / all)} % of ${Math.round(all)} requests, its weights say ${text((100 * expected) / all)} %${sure === 0 ? '' : ', which is no chance'}`,
  };
};
