/** `end`: the last look of a step; a judge that has not found harm by then says what that means. */
export type Moment = 'during' | 'end';

export type Verdict = {
  /** Running: not decided yet, look again. Inconclusive: nothing can be said, a person should look. */
  readonly verdict: 'Pass' | 'Fail' | 'Inconclusive' | 'Running';
  /** What was found, in the unit of the spec's limits; absent while there is nothing to calculate it from. */
  readonly statistic?: number;
  /** What the statistic is held against, or the confidence bound that decides. */
  readonly bound?: number;
  readonly message: string;
};

/** Fewer independent callers than this say nothing about others, however many requests they send. */
export const minEffectiveBuckets = 5;

export const text = (value: number): string => String(Number(value.toPrecision(3)));

/** When there is not enough to judge: wait during a step, and a person should look at its end. */
export const tooLittle = (moment: Moment, why: string): Verdict => ({
  verdict: moment === 'end' ? 'Inconclusive' : 'Running',
  message: why,
});

/** Why there is not enough to judge; undefined when there is. */
export const lacking = (
  found:
    | {
        readonly observations: { readonly stable: number; readonly canary: number };
        readonly effectiveBuckets: number;
      }
    | undefined,
  minSampleSize: number,
): string | undefined => {
  if (found === undefined) return 'no node has observations of both arms yet';
  const { stable, canary } = found.observations;
  if (Math.min(stable, canary) < minSampleSize)
    return `${Math.round(stable)} observations of stable and ${Math.round(canary)} of the canary, ${minSampleSize} of each are needed`;
  if (found.effectiveBuckets < minEffectiveBuckets)
    return `the requests are those of too few callers (as ${text(found.effectiveBuckets)} equally busy buckets of 64, ${minEffectiveBuckets} are needed)`;
  return undefined;
};
