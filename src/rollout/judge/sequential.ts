import { oneSidedBoundary, studentised } from './boundary.ts';
import { type Difference, differenceOf } from './difference.ts';
import { fromUnit, type Measure, sumsOf, toUnit } from './measure.ts';
import type { Counters } from './reports.ts';
import type { SequentialSpec } from './spec.ts';
import { lacking, type Moment, text, tooLittle, type Verdict } from './verdict.ts';

/** The bound is closest at so many times the smallest sample. */
const tightestAfter = 5;

export const compare = (counters: Counters, measure: Measure): Difference | undefined =>
  differenceOf(
    counters.map(({ stable, canary }) => ({
      stable: sumsOf(measure, stable),
      canary: sumsOf(measure, canary),
    })),
  );

/** Size of a {@link import('./boundary.ts').Look} at which the bound is closest. */
export const tightestAt = (minSampleSize: number): number => tightestAfter * minSampleSize;

/**
 * The default judge: is the canary worse than stable by more than is allowed? Looking every few seconds costs nothing:
 * the chance of a false Fail over all looks is at most alpha, in the limit of many observations (boundary.ts).
 *
 * Fail: surely worse. Pass: surely not worse (during a step), or no proof of harm in a large enough sample (at its end).
 */
export const judgeSequential = (
  counters: Counters,
  spec: SequentialSpec,
  moment: Moment = 'during',
): Verdict => {
  const found = compare(counters, spec.measure);
  const missing = lacking(found, spec.minSampleSize);
  if (found === undefined || missing !== undefined) return tooLittle(moment, missing ?? '');
  const sign =
    (spec.direction ?? (spec.measure === 'reward' ? 'Decrease' : 'Increase')) === 'Increase' ? 1 : -1;
  const harm = sign * found.value;
  const allowed = toUnit(spec.measure, spec.allowedIncrease);
  const error = Math.sqrt(found.variance(sign * allowed));
  const margin =
    error *
    studentised(
      oneSidedBoundary({ alpha: spec.alpha, size: found.size, tightestAt: tightestAt(spec.minSampleSize) }),
      found.clusterFreedom,
    );
  const shown = (value: number): number => fromUnit(spec.measure, sign * value);
  const result = (verdict: Verdict['verdict'], bound: number, what: string): Verdict => ({
    verdict,
    statistic: shown(harm),
    bound: shown(bound),
    message: `${spec.measure} of the canary differs by ${text(shown(harm))} from stable, ${what} (${text(shown(allowed))} is allowed; ${Math.round(found.observations.canary)} observations of the canary)`,
  });
  if (harm - margin > allowed)
    return result('Fail', harm - margin, `surely by more than ${text(shown(harm - margin))}`);
  if (error > 0 && harm + margin <= allowed)
    return result('Pass', harm + margin, `surely by no more than ${text(shown(harm + margin))}`);
  return result(moment === 'end' ? 'Pass' : 'Running', harm - margin, 'which may be chance');
};
