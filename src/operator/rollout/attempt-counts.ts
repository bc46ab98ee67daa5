import { pooled } from '../../rollout/judge/counts.ts';
import { mergeReports, type Reports, reportsOf, type SplitReport } from '../../rollout/judge/reports.ts';
import { type Attempt, follows } from './attempt.ts';
import type { Member } from './view.ts';

/** What was counted of one attempt of one canary: what a runtime counted before it went away or started anew stays. */
export type AttemptCounts = { readonly attempt: Attempt; readonly reports: Reports };

/** Processes of one runtime whose counts are kept apart. */
const maxInstances = 4;
/** Stands for all processes of a runtime before those; no runtime has it as the name of its process. */
const former = '';

const isSame = (a: Attempt, b: Attempt): boolean =>
  a.uid === b.uid && a.digest === b.digest && a.attempt === b.attempt;

/** Adds what the runtimes report now. Undefined: there is no canary. */
export const attemptCountsOf = (
  before: AttemptCounts | undefined,
  members: readonly Member[],
  attempt: Attempt | undefined,
): AttemptCounts | undefined => {
  if (attempt === undefined) return undefined;
  const now = reportsOf(
    members
      .filter((member) => follows(member, attempt))
      .flatMap(({ name, instance, report }) =>
        (report?.counts ?? []).map((counts) => ({ ...counts, node: name, instance })),
      ),
  );
  const known = before !== undefined && isSame(before.attempt, attempt) ? before.reports : undefined;
  if (known === undefined) return { attempt, reports: now };
  const present = new Map(members.map(({ name, instance }) => [name, instance]));
  return { attempt, reports: withoutOld(mergeReports(known, now), present) };
};

/** A runtime that starts again and again must not fill the memory: what its old processes counted is added up. */
const withoutOld = (reports: Reports, present: ReadonlyMap<string, string>): Reports => {
  const byNode = Map.groupBy(reports.values(), ({ node }) => node);
  const crowded = [...byNode].filter(
    ([, all]) => new Set(all.map(({ instance }) => instance)).size > maxInstances,
  );
  if (crowded.length === 0) return reports;
  const isCrowded = new Set(crowded.map(([node]) => node));
  const isOld = ({ node, instance }: SplitReport): boolean =>
    isCrowded.has(node) && instance !== present.get(node);
  const all = [...reports.values()];
  const old = Map.groupBy(all.filter(isOld), ({ node, weight }) => JSON.stringify([node, weight]));
  return reportsOf([...all.filter((report) => !isOld(report)), ...[...old.values()].flatMap(addedUp)]);
};

const addedUp = (parts: readonly SplitReport[]): readonly SplitReport[] => {
  const [first] = parts;
  if (first === undefined) return [];
  return [
    {
      node: first.node,
      weight: first.weight,
      instance: former,
      seq: parts.reduce((sum, { seq }) => sum + seq, 0),
      stable: pooled(parts.map(({ stable }) => stable)),
      canary: pooled(parts.map(({ canary }) => canary)),
    },
  ];
};
