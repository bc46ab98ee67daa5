import { hash64Hex } from '../hash.ts';
import { ArmCounter, type ArmCounts, total } from './counts.ts';
import { type Reports, reportsOf, type SplitReport } from './reports.ts';
import { isRewarded, rewardedBelow } from './rewarded.ts';
import { type Place, placeOf, type ToldReward, type ToldRewards } from './told-rewards.ts';

/** What one process was told. */
export type ToldBy = {
  readonly node: string;
  readonly instance: string;
  readonly told: ToldRewards;
};

/** Of each process, by node and instance. */
export type ToldElsewhere = ReadonlyMap<string, ToldBy>;

/** What is made of the rewards for one process at one weight, and of what. */
type Merge = {
  readonly own: SplitReport | undefined;
  readonly told: readonly Told[];
  /** Answers of which a reward counts here. */
  readonly numbers: readonly number[];
  /** With them. Of a process that reported nothing itself: one for each node that was told. */
  readonly reports: readonly SplitReport[];
};
/** `at`: the place among those of `list`. */
type Told = { readonly node: string; readonly list: ToldRewards; readonly at: number };

/** By {@link placeOf}. */
export type Merges = ReadonlyMap<string, Merge>;

type MergeOptions = {
  /** What was made last: what is the same is not made again. */
  readonly before?: Merges | undefined;
  /** Places of which nobody knows any more which answers had feedback: no further reward counts there. */
  readonly closed?: ReadonlySet<string> | undefined;
};

/** Answers of other processes whose rewards one process keeps, of one attempt of a canary. */
export const maxElsewhere = 8_192;

/** Names a process in ids of answers: 16 hexadecimal digits. */
export const originOf = (instance: string): string => {
  const known = origins.get(instance);
  if (known !== undefined) return known;
  const origin = hash64Hex(instance);
  if (origins.size >= maxOrigins) origins.clear();
  origins.set(instance, origin);
  return origin;
};
/** A leader asks for those of all processes with each of their reports, and a hash takes 10 µs. */
const origins = new Map<string, string>();
const maxOrigins = 65_536;

/** With what processes say now: what is newer takes the place of what one said before. */
export const withTold = (before: ToldElsewhere, news: readonly ToldBy[]): ToldElsewhere => {
  const told = news.filter((one) => one.told.size > 0);
  if (told.length === 0) return before;
  return new Map([...before, ...told.map((one) => [JSON.stringify([one.node, one.instance]), one] as const)]);
};

/**
 * The reports with what was told elsewhere, each reward where its answer was counted: for the node that gave it, at its weight.
 *
 * Guarantees: an answer counts once. What the process that gave it was told itself goes first; of other processes that were
 * told of the same answer one counts, whatever the order. What nobody reported of is for the node that was told. A process
 * that does not know any more whether it was told itself is believed to have been, unless it was not when it knew.
 */
export const withElsewhere = (
  reports: Reports,
  elsewhere: ToldElsewhere,
  { before = new Map(), closed = new Set() }: MergeOptions = {},
): { readonly reports: Reports; readonly merges: Merges } => {
  if (elsewhere.size === 0) return { reports, merges: before };
  const owners = new Map<string, SplitReport>();
  for (const report of reports.values())
    owners.set(placeOf(originOf(report.instance), report.weight), report);
  const merges = new Map<string, Merge>();
  for (const { place, told } of placesOf(elsewhere)) {
    if (closed.has(place.name)) continue;
    const [own, last] = [owners.get(place.name), before.get(place.name)];
    const isSame = last !== undefined && last.own === own && isSameTold(last.told, told);
    merges.set(place.name, isSame ? withLists(last, told) : merged(place, own, told, last));
  }
  const grown = [...merges.values()].flatMap((merge) => merge.reports);
  return { reports: grown.length === 0 ? reports : new Map([...reports, ...reportsOf(grown)]), merges };
};

type ToldAt = { readonly place: Place; readonly told: readonly Told[] };

/** Made once: counts change with every look, what was told elsewhere now and then. */
const places = new WeakMap<ToldElsewhere, readonly ToldAt[]>();
const placesOf = (elsewhere: ToldElsewhere): readonly ToldAt[] => {
  const known = places.get(elsewhere);
  if (known !== undefined) return known;
  const inOrder = [...elsewhere].sort(([a], [b]) => (a < b ? -1 : 1));
  const all = inOrder.flatMap(([, { node, told: list }]) =>
    list.places.map((place, at) => ({ place, told: { node, list, at } })),
  );
  const made = [...Map.groupBy(all, ({ place }) => place.name).values()].flatMap((parts) =>
    parts.slice(0, 1).map(({ place }) => ({ place, told: parts.map(({ told }) => told) })),
  );
  places.set(elsewhere, made);
  return made;
};

/** The same, without the lists of before: they are let go. */
const withLists = (last: Merge, told: readonly Told[]): Merge =>
  last.told === told ? last : { ...last, told };

const isSameTold = (before: readonly Told[], now: readonly Told[]): boolean =>
  before === now ||
  (before.length === now.length &&
    before.every(({ node, list, at }, i) => {
      const other = now[i];
      return other?.node === node && list.isSameAt(at, other.list, other.at);
    }));

const merged = (
  place: Place,
  own: SplitReport | undefined,
  told: readonly Told[],
  last: Merge | undefined,
): Merge => {
  const numbers = new Set<number>();
  const bases = new Map<string, Grown>();
  const isKnown = own !== undefined && last?.own !== undefined && isOnlyForgetful(last.own, own);
  const kept = new Set(isKnown ? last.numbers : []);
  const mayCount = (number: number): boolean => {
    if (own === undefined) return true;
    // A replica of an earlier version relays counts without the numbers.
    if (own.rewarded === undefined) return feedbacksOf(own) === 0;
    return !(isRewarded(own.rewarded, number) ?? !kept.has(number));
  };
  for (const { node, list, at } of told) {
    const base = own?.node ?? node;
    for (const reward of list.rewardsAt(at)) {
      if (numbers.has(reward.number) || !mayCount(reward.number)) continue;
      numbers.add(reward.number);
      const grown = bases.get(base) ?? new Grown(own ?? unreported(node, place));
      bases.set(base, grown);
      grown.add(reward);
    }
  }
  return { own, told, numbers: [...numbers], reports: [...bases.values()].map((grown) => grown.report()) };
};

const feedbacksOf = ({ stable, canary }: SplitReport): number =>
  total(stable.feedbacks) + total(canary.feedbacks);

/** Answers with feedback of which the process does not know any more which they are. */
const forgottenOf = (report: SplitReport): number =>
  feedbacksOf(report) - (report.rewarded === undefined ? 0 : rewardedBelow(report.rewarded, Infinity));

/** Whether a process was told of none of the answers that it forgot between two reports: one whose numbers it had would be missing. */
const isOnlyForgetful = (before: SplitReport, now: SplitReport): boolean => {
  const { rewarded } = before;
  const since = rewarded === undefined ? 0 : rewardedBelow(rewarded, now.rewarded?.knownFrom ?? 0);
  return forgottenOf(now) === forgottenOf(before) + since;
};

const none: ArmCounts = Object.freeze(new ArmCounter().snapshot());

const unreported = (node: string, { origin, weight }: Place): SplitReport => ({
  node,
  instance: `for ${origin}`,
  weight,
  seq: 0,
  stable: none,
  canary: none,
});

/** A report and rewards that come to it. */
class Grown {
  readonly #report: SplitReport;
  readonly #arms: Readonly<Record<ToldReward['arm'], ArmCounter>>;

  constructor(report: SplitReport) {
    this.#report = report;
    this.#arms = { stable: counterOf(report.stable), canary: counterOf(report.canary) };
  }

  add({ arm, bucket, reward }: ToldReward): void {
    this.#arms[arm].rewarded(bucket, reward);
  }

  report(): SplitReport {
    const { stable, canary } = this.#arms;
    return { ...this.#report, stable: stable.snapshot(), canary: canary.snapshot() };
  }
}

const counterOf = (arm: ArmCounts): ArmCounter => {
  const counter = new ArmCounter();
  counter.include(arm);
  return counter;
};
