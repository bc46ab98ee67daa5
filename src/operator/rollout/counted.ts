import { mergeReports, type Reports, reportsOf } from '../../rollout/judge/reports.ts';
import { type Attempt, follows } from './facts.ts';
import type { Member } from './view.ts';

/** What was counted of one attempt of one canary: what a runtime counted before it went away or started anew stays. */
export type Counted = { readonly attempt: Attempt; readonly reports: Reports };

const isSame = (a: Attempt, b: Attempt): boolean =>
  a.uid === b.uid && a.digest === b.digest && a.attempt === b.attempt;

/** Adds what the runtimes report now. Undefined: there is no canary. */
export const countedOf = (
  before: Counted | undefined,
  members: readonly Member[],
  attempt: Attempt | undefined,
): Counted | undefined => {
  if (attempt === undefined) return undefined;
  const now = reportsOf(
    members
      .filter((member) => follows(member, attempt))
      .flatMap(({ name, instance, report }) =>
        (report?.counts ?? []).map((counts) => ({ ...counts, node: name, instance })),
      ),
  );
  const known = before !== undefined && isSame(before.attempt, attempt) ? before.reports : undefined;
  return { attempt, reports: known === undefined ? now : mergeReports(known, now) };
};
