import { isDeepStrictEqual } from 'node:util';
import { smallFleet } from '../../rollout/failures.ts';
import { withFairShares } from '../../rollout/judge/fair-shares.ts';
import { type Outlier, outliersOf } from '../../rollout/judge/outliers.ts';
import { countersOf, type Reports } from '../../rollout/judge/reports.ts';
import type { Attempt } from './attempt.ts';
import type { AttemptCounts } from './attempt-counts.ts';
import type { SetAside } from './set-aside.ts';

/** Runtimes whose counts contradict those of the others, and when they were looked for, in monotonic milliseconds. */
export type Compared = {
  readonly at: number;
  readonly attempt: Attempt;
  readonly outliers: readonly Outlier[];
};

/** Milliseconds between two looks. */
const compareMs = 10_000;

/** Without the counts that contradict the others. */
export const believedOf = (
  reports: Reports | undefined,
  { failures, names }: SetAside,
): Reports | undefined => {
  const differing = failures.flatMap(({ runtime, reason }) =>
    reason === 'CountsDiffer' && names.has(runtime) ? [runtime] : [],
  );
  if (reports === undefined || differing.length === 0) return reports;
  return new Map([...reports].filter(([, { node }]) => !differing.includes(node)));
};

/** Looks for runtimes whose counts contradict the others, now and then: it takes a look at every count. */
export const comparedOf = (
  before: Compared | undefined,
  counted: AttemptCounts | undefined,
  fleetSize: number,
  monotonic: number,
): Compared | undefined => {
  if (counted === undefined || fleetSize <= smallFleet) return undefined;
  const { attempt, reports } = counted;
  if (before !== undefined && isDeepStrictEqual(before.attempt, attempt) && monotonic - before.at < compareMs)
    return before;
  const outliers = outliersOf(withFairShares(countersOf(reports)), fleetSize);
  return { at: monotonic, attempt, outliers };
};
