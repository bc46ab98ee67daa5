import { addCopyCounts, type CopyCounts, noCopyCounts } from '../copies.ts';
import { fairFactors } from '../judge/fair-shares.ts';
import type { Conditions } from '../judge/spec.ts';
import { meets } from '../judge/threshold.ts';
import { suspectsOf, withoutExtremes } from '../judge/together.ts';
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
    return tooLittle(moment, `${Math.round(all)} answers were compared, ${minSampleSize} are needed`);
  const statistic = (all - equal) / all;
  const limit = conditions.failure ?? conditions.success;
  const bound = limit?.atMost ?? limit?.atLeast;
  return {
    verdict: meets(statistic, conditions),
    statistic,
    ...(bound === undefined ? {} : { bound }),
    message: `${text(100 * statistic)} % of ${Math.round(all)} answers to copies are not those of stable`,
  };
};

const comparedOf = ({ compared, failed }: CopyCounts): number => compared + failed;

/** The same over what several runtimes counted, none of which is believed by itself (judge/together.ts). */
export const judgeMismatchTogether = (
  counted: readonly CopyCounts[],
  spec: MismatchSpec,
  moment: Moment,
): Verdict => {
  const factors = fairFactors(counted.map(comparedOf));
  const fair = counted.map((counts, i) => {
    const by = factors[i] ?? 1;
    return {
      ...noCopyCounts,
      compared: counts.compared * by,
      equal: counts.equal * by,
      failed: counts.failed * by,
    };
  });
  const suspects = suspectsOf(fair, (counts) => [comparedOf(counts), comparedOf(counts) - counts.equal]);
  return withoutExtremes(fair, suspects, (kept) =>
    judgeMismatch(kept.reduce(addCopyCounts, noCopyCounts), spec, moment),
  );
};
