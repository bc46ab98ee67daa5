import type { CopyCounts } from '../copies.ts';
import type { Conditions } from '../judge/spec.ts';
import { meets } from '../judge/threshold.ts';
import { type Moment, text, tooLittle, type Verdict } from '../judge/verdict.ts';

/** How the answers to copies are judged. */
export type MismatchSpec = { readonly conditions: Conditions; readonly minSampleSize: number };

/**
 * The share of copies whose answer is not that of stable: another one, or none because the canary failed. Answers that
 * could not be compared say nothing. Counted, not estimated: like every threshold it is wrong by chance now and then.
 */
export const judgeMismatch = (
  counts: CopyCounts | undefined,
  { conditions, minSampleSize }: MismatchSpec,
  moment: Moment,
): Verdict => {
  const { compared = 0, equal = 0, failed = 0 } = counts ?? {};
  const all = compared + failed;
  if (all < minSampleSize)
    return tooLittle(moment, `${all} answers were compared, ${minSampleSize} are needed`);
  const statistic = (all - equal) / all;
  const limit = conditions.failure ?? conditions.success;
  const bound = limit?.atMost ?? limit?.atLeast;
  return {
    verdict: meets(statistic, conditions),
    statistic,
    ...(bound === undefined ? {} : { bound }),
    message: `${text(100 * statistic)} % of ${all} answers to copies are not those of stable`,
  };
};
