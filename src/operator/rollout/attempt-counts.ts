import { pooled } from '../../rollout/judge/counts.ts';
import {
  mergeReports,
  type Reports,
  reportsOf,
  type SplitReport,
  type WeightCounts,
} from '../../rollout/judge/reports.ts';
import { type Attempt, follows } from './attempt.ts';
import { eachOf, everybody, type RolloutView, reportAt } from './view.ts';

type Taken = { readonly instance: string; readonly counts: readonly WeightCounts[] };

/** What was counted of one attempt of one canary: what a runtime counted before it went away or started anew stays. */
export type AttemptCounts = {
  readonly attempt: Attempt;
  readonly reports: Reports;
  /** What was taken in of each runtime last: the same again is no news. */
  readonly taken: ReadonlyMap<string, Taken>;
};

/** Processes of one runtime whose counts are kept apart. */
const maxInstances = 4;
/** Stands for all processes of a runtime before those; no runtime has it as the name of its process. */
const former = '';

const isSame = (a: Attempt, b: Attempt): boolean =>
  a.uid === b.uid && a.digest === b.digest && a.attempt === b.attempt;

/** Adds what the runtimes report now. Undefined: there is no canary. */
export const attemptCountsOf = (
  before: AttemptCounts | undefined,
  view: Pick<RolloutView, 'rollout' | 'members' | 'apart'>,
  attempt: Attempt | undefined,
): AttemptCounts | undefined => {
  if (attempt === undefined) return undefined;
  const all = everybody(view);
  const known = before !== undefined && isSame(before.attempt, attempt) ? before : undefined;
  const taken = new Map(known?.taken);
  const fresh = eachOf(all.filter((member) => follows(member, attempt))).flatMap((runtime) => {
    const counts = reportAt(runtime, view.rollout)?.counts ?? [];
    const instance = runtime.state?.instance ?? '';
    const last = taken.get(runtime.key);
    if (counts.length === 0 || (last?.counts === counts && last.instance === instance)) return [];
    taken.set(runtime.key, { instance, counts });
    return counts.map((one) => ({ ...one, node: runtime.key, instance }));
  });
  if (known === undefined) return { attempt, reports: reportsOf(fresh), taken };
  if (fresh.length === 0) return known;
  const present = new Map(eachOf(all).map(({ key, state }) => [key, state?.instance ?? '']));
  return { attempt, reports: withoutOld(mergeReports(known.reports, reportsOf(fresh)), present), taken };
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
