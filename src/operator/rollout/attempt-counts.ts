import { keyOf } from '../../api/references.ts';
import { pooled } from '../../rollout/judge/counts.ts';
import {
  type Merges,
  maxElsewhere,
  originOf,
  type ToldBy,
  type ToldElsewhere,
  withElsewhere,
  withTold,
} from '../../rollout/judge/elsewhere.ts';
import {
  mergeReports,
  type Reports,
  reportsOf,
  type SplitReport,
  type WeightCounts,
} from '../../rollout/judge/reports.ts';
import { placeOf, ToldRewards } from '../../rollout/judge/told-rewards.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';
import type { Seen } from '../reconcile/alike.ts';
import { type Attempt, follows } from './attempt.ts';
import { eachOf, everybody, type RolloutView, reportAt } from './view.ts';

type Taken = {
  readonly instance: string;
  readonly counts: readonly WeightCounts[];
  readonly elsewhere: ToldRewards;
};

/** What was counted of one attempt of one canary: what a runtime counted before it went away or started anew stays. */
export type AttemptCounts = {
  readonly attempt: Attempt;
  /** As the runtimes counted, with feedback that they were told about each other's answers: what is judged. */
  readonly reports: Reports;
  readonly own: Reports;
  readonly elsewhere: ToldElsewhere;
  readonly merges: Merges;
  /** Places of processes whose counts were added up: which of their answers had feedback is not known any more. */
  readonly closed: ReadonlySet<string>;
  /** What was taken in of each runtime last: the same again is no news. */
  readonly taken: ReadonlyMap<string, Taken>;
  /** Who was looked at. */
  readonly seen: Seen | undefined;
};

/** Processes of one runtime whose counts are kept apart. */
const maxInstances = 4;
/** Most places that are remembered as closed, those that were closed last. */
const maxClosed = 65_536;
/** Stands for all processes of a runtime before those; no runtime has it as the name of its process. */
const former = '';

const noCounts: readonly WeightCounts[] = [];

const isSame = (a: Attempt, b: Attempt): boolean =>
  a.uid === b.uid && a.digest === b.digest && a.attempt === b.attempt;

/** Adds what the runtimes report now, at the cost of those that say something new. Undefined: there is no canary. */
export const attemptCountsOf = (
  before: AttemptCounts | undefined,
  view: Pick<RolloutView, 'rollout' | 'members' | 'apart' | 'kept'>,
  attempt: Attempt | undefined,
): AttemptCounts | undefined => {
  if (attempt === undefined) return undefined;
  const all = everybody(view);
  const known = before !== undefined && isSame(before.attempt, attempt) ? before : undefined;
  const news = new Map<RuntimeKey, Taken>();
  const told: ToldBy[] = [];
  const following = all.filter((member) => follows(member, attempt)).map(({ runtimes }) => runtimes);
  const { runtimes, seen } = view.kept.unread(keyOf(view.rollout), following, known?.seen);
  const fresh = runtimes.flatMap((runtime) => {
    const said = reportAt(runtime, view.rollout);
    const [counts, elsewhere] = [said?.counts ?? noCounts, said?.elsewhere ?? ToldRewards.none];
    const instance = runtime.state?.instance ?? '';
    const last = known?.taken.get(runtime.key);
    const isNews = last?.counts !== counts || last.elsewhere !== elsewhere || last.instance !== instance;
    if (counts.length + elsewhere.size === 0 || !isNews) return [];
    news.set(runtime.key, { instance, counts, elsewhere });
    if (last?.elsewhere !== elsewhere || last.instance !== instance)
      told.push({ node: runtime.key, instance, told: elsewhere });
    return counts.map((one) => ({ ...one, node: runtime.key, instance }));
  });
  const { own: formerOwn = reportsOf([]), elsewhere: formerTold = new Map(), merges, closed } = known ?? {};
  const elsewhere = withTold(formerTold, told);
  const taken = news.size === 0 ? (known?.taken ?? news) : new Map([...(known?.taken ?? []), ...news]);
  if (known !== undefined && fresh.length === 0 && elsewhere === formerTold) return { ...known, taken, seen };
  const present = (): ReadonlyMap<string, string> =>
    new Map(eachOf(all).map(({ key, state }) => [key, state?.instance ?? '']));
  return withoutOld(
    {
      attempt,
      own: mergeReports(formerOwn, reportsOf(fresh)),
      elsewhere: withoutOldTold(elsewhere),
      taken,
      seen,
    },
    { merges, closed },
    present,
  );
};

/** Of each runtime what the processes before the last ones were told is put together, where there were many. */
const withoutOldTold = (elsewhere: ToldElsewhere): ToldElsewhere => {
  const byNode = Map.groupBy(elsewhere, ([, { node }]) => node);
  if ([...byNode.values()].every(({ length }) => length <= maxInstances)) return elsewhere;
  return new Map(
    [...byNode].flatMap(([node, entries]) => {
      if (entries.length <= maxInstances) return entries;
      const old = entries.slice(0, 1 - maxInstances).map(([, one]) => one);
      const told = toldTogether(old.map((one) => one.told));
      return [...withTold(new Map(), [{ node, instance: former, told }]), ...entries.slice(1 - maxInstances)];
    }),
  );
};

/** Of more answers than one process keeps, some are forgotten. */
const toldTogether = (all: readonly ToldRewards[]): ToldRewards =>
  all.reduce((sum, told) => sum.with(told), ToldRewards.none).last(maxElsewhere);

/**
 * A runtime that starts again and again must not fill the memory: what its old processes counted is added up, with the
 * feedback about it that others were told so far.
 */
const withoutOld = (
  counted: Omit<AttemptCounts, 'reports' | 'merges' | 'closed'>,
  before: { readonly merges: Merges | undefined; readonly closed: ReadonlySet<string> | undefined },
  present: () => ReadonlyMap<string, string>,
): AttemptCounts => {
  const { own, elsewhere } = counted;
  const { closed = new Set<string>() } = before;
  const judged = withElsewhere(own, elsewhere, { before: before.merges, closed });
  const old = oldOf(own, present);
  if (old.length === 0) return { ...counted, ...judged, closed };
  const sums = Map.groupBy(
    old.map((key) => judged.reports.get(key) ?? own.get(key)).filter((report) => report !== undefined),
    ({ node, weight }) => JSON.stringify([node, weight]),
  );
  const gone = new Set(old);
  const rest = [...own].filter(([key]) => !gone.has(key)).map(([, report]) => report);
  const kept = reportsOf([...rest, ...[...sums.values()].flatMap(addedUp)]);
  const places = old
    .flatMap((key) => own.get(key) ?? [])
    .map((one) => placeOf(originOf(one.instance), one.weight));
  const nowClosed = new Set([...closed, ...places].slice(-maxClosed));
  const again = withElsewhere(kept, elsewhere, { before: judged.merges, closed: nowClosed });
  return { ...counted, own: kept, ...again, closed: nowClosed };
};

/** Keys of reports of runtimes with many processes, but for the present one. */
const oldOf = (reports: Reports, instances: () => ReadonlyMap<string, string>): readonly string[] => {
  const byNode = Map.groupBy(reports.values(), ({ node }) => node);
  const crowded = new Set(
    [...byNode]
      .filter(([, all]) => new Set(all.map(({ instance }) => instance)).size > maxInstances)
      .map(([node]) => node),
  );
  if (crowded.size === 0) return [];
  const present = instances();
  return [...reports]
    .filter(([, { node, instance }]) => crowded.has(node) && instance !== present.get(node))
    .map(([key]) => key);
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
