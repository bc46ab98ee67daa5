import type { MetricStatus, RolloutStatus } from '../api/rollout-status.ts';
import { text } from '../rollout/judge/verdict.ts';
import { inColumns } from './columns.ts';

/** Names of the adapters that a comparison was about, as far as they are still known. */
export type Sides = { readonly stable: string; readonly canary: string };

/** What of a metric the report is made of. */
export type Compared = Pick<MetricStatus, 'name' | 'value' | 'bound' | 'message' | 'variants'> & {
  readonly phase: string;
};

export const sidesOf = ({ stable, canary, history, completionStatus }: RolloutStatus): Sides => {
  if (canary !== undefined) return { stable: stable?.adapter ?? '', canary: canary.adapter };
  // The canary is stable now.
  const isPromoted = completionStatus === 'Promoted' || completionStatus === 'FastPromoted';
  return isPromoted
    ? { stable: history[0]?.adapter ?? '', canary: stable?.adapter ?? '' }
    : { stable: stable?.adapter ?? '', canary: '' };
};

/**
 * Which side earns more, as a confidence sequence of the difference tells it: value is its middle, and bound the end that
 * decides.
 */
const leadOf = ({ phase, value, bound, message }: Compared, name: (side: keyof Sides) => string): string => {
  const so = phase === 'Running' ? 'cannot be told yet' : 'cannot be told';
  if (value === undefined || bound === undefined) return `${so}: ${message}`;
  const margin = Math.abs(value - bound);
  const [low, high] = [value - margin, value + margin];
  // As the judge has it: rewards that are all the same prove nothing for the new adapter.
  if (low > 0 && margin > 0)
    return `${name('canary')} leads by ${text(low)} to ${text(high)} (confidence interval)`;
  if (high < 0) return `${name('stable')} leads by ${text(-high)} to ${text(-low)} (confidence interval)`;
  return `${so}: the confidence interval of canary minus stable is ${text(low)} to ${text(high)}`;
};

/** Who earned what in an A/B test, and who leads. Empty for other metrics. */
export const abReport = (metric: Compared, sides: Sides): string[] => {
  const { variants } = metric;
  if (variants === undefined) return [];
  const nameOf = (side: keyof Sides): string => [side, sides[side]].join(' ').trim();
  const rows = (['stable', 'canary'] as const).map((side) => {
    const variant = variants[side];
    if (variant === undefined) return [nameOf(side), 'too few callers'];
    const { count, mean, low, high } = variant;
    // A few rewards that are all the same say nothing about the next one.
    const range = low === high ? 'cannot be told yet' : `${text(low)} to ${text(high)}`;
    return [nameOf(side), `${count}`, text(mean), range];
  });
  const table = inColumns([['SIDE', 'FEEDBACKS', 'MEAN', 'CONFIDENCE INTERVAL'], ...rows]);
  return ['', `A/B test by ${metric.name}: ${leadOf(metric, nameOf)}`, ...table.map((line) => `  ${line}`)];
};
