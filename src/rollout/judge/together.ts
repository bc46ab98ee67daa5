import { total } from './counts.ts';
import { nodesOf } from './fair-shares.ts';
import { judge } from './judge.ts';
import { type Measure, sumsOf } from './measure.ts';
import type { Counters, Stratum } from './reports.ts';
import type { JudgeSpec } from './spec.ts';
import type { Moment, Verdict } from './verdict.ts';

/** With so many runtimes each of them may be the one that is left out; of more, only those with the most influence. */
const maxTried = 12;

const badness: Readonly<Record<Verdict['verdict'], number>> = {
  Pass: 0,
  Running: 0,
  Inconclusive: 1,
  Fail: 2,
};
const badnessOf = ({ verdict }: Verdict): number => badness[verdict];

/**
 * A verdict that no single item can turn: that of all items but two, the one that speaks most for the canary and the one that
 * speaks most against it. Fail: one item can be left out so that Fail it stays, whichever other is left out as well.
 *
 * Guarantees, for any one item that is false, if it and its like are among `suspects`: a Fail (or Inconclusive) is found in
 * what true items say alone; and what all true items but any one say is found, whatever the false one says.
 *
 * @param suspects those of the items that may be left out
 * @param verdictOf of some of the items
 */
export const withoutExtremes = <Item, V extends Verdict>(
  items: readonly Item[],
  suspects: readonly Item[],
  verdictOf: (kept: readonly Item[]) => V,
): V => {
  const whole = verdictOf(items);
  let worst: V | undefined;
  for (const best of suspects) {
    const least = leastBad(items, best, suspects, verdictOf, worst === undefined ? -1 : badnessOf(worst));
    if (least !== undefined && (worst === undefined || badnessOf(least) > badnessOf(worst))) worst = least;
    if (worst?.verdict === 'Fail') break;
  }
  // One item alone says nothing that another could confirm.
  worst ??= verdictOf([]);
  if (badnessOf(worst) === badnessOf(whole)) return whole;
  return { ...worst, message: `${worst.message}; two runtimes are left out, so that none decides alone` };
};

/** Without `left` and any other; undefined: not worse than `than`, or there is no other. */
const leastBad = <Item, V extends Verdict>(
  items: readonly Item[],
  left: Item,
  suspects: readonly Item[],
  verdictOf: (kept: readonly Item[]) => V,
  than: number,
): V | undefined => {
  let least: V | undefined;
  for (const other of suspects) {
    if (other === left) continue;
    const verdict = verdictOf(items.filter((item) => item !== left && item !== other));
    if (badnessOf(verdict) <= than) return undefined;
    if (least === undefined || badnessOf(verdict) < badnessOf(least)) least = verdict;
    if (badnessOf(least) === 0) return least;
  }
  return least;
};

/** The items, or of many those with the largest and the smallest of any number. */
export const suspectsOf = <Item>(
  items: readonly Item[],
  numbersOf: (item: Item) => readonly number[],
): readonly Item[] => {
  if (items.length <= maxTried) return items;
  const numbered = items.map((item) => ({ item, numbers: numbersOf(item) }));
  const found = new Set<Item>();
  for (const i of numbered[0]?.numbers.keys() ?? []) {
    const sorted = numbered.toSorted((a, b) => (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0));
    for (const { item } of [sorted[0], sorted.at(-1)].filter((one) => one !== undefined)) found.add(item);
  }
  return [...found];
};

/** What a judge looks at; undefined: only how many requests there are of each arm. */
const measureOf = (spec: JudgeSpec): Measure | undefined => {
  switch (spec.type) {
    case 'sequential':
      return spec.measure;
    case 'threshold':
      return spec.value === 'errorRatio' || spec.value === 'reward' ? spec.value : 'latency';
    case 'mannWhitney':
      return 'latency';
    case 'reward':
      return 'reward';
    case 'sampleRatio':
      return undefined;
  }
};

/** By how much a runtime moves what a judge looks at, in several ways. */
const influencesOf = (spec: JudgeSpec) => {
  const measure = measureOf(spec);
  return (strata: readonly Stratum[]): readonly number[] => {
    let [requests, deviation, difference, squares, ofStable, ofCanary] = [0, 0, 0, 0, 0, 0];
    for (const { weight, stable, canary } of strata) {
      const [s, c] = [total(stable.requests), total(canary.requests)];
      requests += s + c;
      deviation += (1 - weight / 100) * c - (weight / 100) * s;
      if (measure === undefined) continue;
      const [sums, other] = [sumsOf(measure, canary), sumsOf(measure, stable)];
      const [n1, n2] = [total(other.counts), total(sums.counts)];
      squares += sums.squares + other.squares;
      ofStable += total(other.sums);
      ofCanary += total(sums.sums);
      if (n1 > 0 && n2 > 0) difference += (n1 * total(sums.sums) - n2 * total(other.sums)) / (n1 + n2);
    }
    return measure === undefined
      ? [requests, deviation]
      : [requests, difference, squares, ofStable, ofCanary];
  };
};

/**
 * {@link judge} for counters of several nodes none of which is believed by itself: {@link withoutExtremes} over the nodes.
 * Expects counters with fair shares. Costs one look for each of at most some ten nodes, and more only while harm is found.
 */
export const judgeTogether = (counters: Counters, spec: JudgeSpec, moment: Moment = 'during'): Verdict => {
  const nodes = nodesOf(counters);
  return withoutExtremes(nodes, suspectsOf(nodes, influencesOf(spec)), (kept) =>
    judge(kept.flat(), spec, moment),
  );
};
