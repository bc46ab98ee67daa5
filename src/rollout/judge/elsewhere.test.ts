import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArmCounter, total } from './counts.ts';
import { originOf, type ToldElsewhere, withElsewhere, withTold } from './elsewhere.ts';
import { countersOf, reportsOf, type SplitReport } from './reports.ts';
import { RewardedNumbers } from './rewarded.ts';
import { type Elsewhere, placeOf, type ToldReward, ToldRewards } from './told-rewards.ts';

const reward = (number: number, value = 1, arm: ToldReward['arm'] = 'canary'): ToldReward => ({
  number,
  bucket: number % 64,
  arm,
  reward: value,
});

/** Of a process that answered many, and was told itself of these. */
const report = (node: string, instance: string, own: readonly number[] = [], weight = 5): SplitReport => {
  const [stable, canary, numbers] = [new ArmCounter(), new ArmCounter(), new RewardedNumbers()];
  for (let i = 0; i < 20; i += 1) canary.answered(i, 10);
  for (const number of own) {
    canary.rewarded(number % 64, 1);
    numbers.add(number);
  }
  const rewarded = numbers.snapshot();
  return {
    node,
    instance,
    weight,
    seq: 1,
    stable: stable.snapshot(),
    canary: canary.snapshot(),
    ...(rewarded === undefined ? {} : { rewarded }),
  };
};
const told = (instance: string, rewards: readonly ToldReward[], weight = 5): Elsewhere => ({
  origin: originOf(instance),
  weight,
  seq: 1,
  rewards,
});
const by = (...all: readonly (readonly [string, Elsewhere])[]): ToldElsewhere =>
  withTold(
    new Map(),
    all.map(([node, one]) => ({ node, instance: `of ${node}`, told: ToldRewards.of([one]) })),
  );
const merged = (...given: Parameters<typeof withElsewhere>) => withElsewhere(...given).reports;
const feedbacks = (reports: ReadonlyMap<string, SplitReport>) =>
  countersOf(reports).map(({ node, weight, canary }) => [
    node,
    weight,
    total(canary.feedbacks),
    total(canary.rewards),
  ]);

describe('feedback that was told elsewhere', () => {
  it('counts for the node that answered, at its weight', () => {
    const reports = reportsOf([report('a', 'i'), report('b', 'j', [0]), report('a', 'i', [], 50)]);
    expect(feedbacks(merged(reports, by(['b', told('i', [reward(1), reward(2, 0)], 50)])))).toEqual([
      ['a', 50, 2, 1],
      ['a', 5, 0, 0],
      ['b', 5, 1, 1],
    ]);
  });

  it('counts once, however many runtimes were told, the one that answered first of all', () => {
    const reports = reportsOf([report('a', 'i', [1])]);
    const elsewhere = by(['b', told('i', [reward(1, 7), reward(2, 3)])], ['c', told('i', [reward(2, 4)])]);
    expect(feedbacks(merged(reports, elsewhere))).toEqual([['a', 5, 2, 4]]);
  });

  it('of an earlier process of a node counts there, once', () => {
    const reports = reportsOf([report('a', 'before', [1]), report('a', 'now')]);
    const elsewhere = by(['a', told('before', [reward(1), reward(2)])]);
    expect(feedbacks(merged(reports, elsewhere))).toEqual([['a', 5, 2, 2]]);
  });

  it('of a process that nobody reported of counts for who was told, and once', () => {
    const elsewhere = by(['b', told('gone', [reward(1)])], ['c', told('gone', [reward(1), reward(2)])]);
    expect(feedbacks(merged(reportsOf([]), elsewhere))).toEqual([
      ['b', 5, 1, 1],
      ['c', 5, 1, 1],
    ]);
  });

  it('is put in order once, however often counts change', () => {
    const elsewhere = by(['b', told('i', [reward(1), reward(2)])]);
    const { merges: before } = withElsewhere(reportsOf([report('a', 'i')]), elsewhere);
    const { merges: after } = withElsewhere(reportsOf([report('a', 'i', [9])]), elsewhere, { before });
    const place = placeOf(originOf('i'), 5);
    expect(after.get(place)?.told).toBe(before.get(place)?.told);
  });

  it('adds up to each answer once, in whatever order it is told, and changes nothing but rewards', () => {
    const one = fc.record({
      node: fc.constantFrom('a', 'b', 'c'),
      instance: fc.constantFrom('i', 'j'),
      numbers: fc.uniqueArray(fc.nat(9), { maxLength: 6 }),
    });
    const own = fc.uniqueArray(fc.nat(9), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), own, own, (all, ofI, ofJ) => {
        const reports = reportsOf([report('a', 'i', ofI), report('b', 'j', ofJ)]);
        const toldBy = Map.groupBy(all, ({ node }) => node);
        const inOrder = (nodes: readonly (typeof all)[number]['node'][]): ToldElsewhere =>
          nodes.reduce<ToldElsewhere>((map, node) => {
            const places = Map.groupBy(toldBy.get(node) ?? [], ({ instance }) => instance);
            const entries = [...places].map(([instance, parts]) =>
              told(
                instance,
                [...new Set(parts.flatMap(({ numbers }) => numbers))].map((n) => reward(n)),
              ),
            );
            return withTold(map, [{ node, instance: 'x', told: ToldRewards.of(entries) }]);
          }, new Map());
        const inOneOrder = merged(reports, inOrder(['a', 'b', 'c']));
        expect(inOneOrder).toEqual(merged(reports, inOrder(['c', 'a', 'b'])));
        const expected = (instance: string, known: readonly number[]): number =>
          new Set([
            ...known,
            ...all.filter((each) => each.instance === instance).flatMap(({ numbers }) => numbers),
          ]).size;
        expect(feedbacks(inOneOrder).map(([, , count]) => count)).toEqual([
          expected('i', ofI),
          expected('j', ofJ),
        ]);
        expect(countersOf(inOneOrder).map(({ canary }) => canary.requests)).toEqual(
          countersOf(reports).map(({ canary }) => canary.requests),
        );
      }),
    );
  });

  it('is nothing where nothing was told', () => {
    const reports = reportsOf([report('a', 'i')]);
    expect(merged(reports, new Map())).toBe(reports);
    expect(merged(reports, by(['b', told('i', [])]))).toBe(reports);
  });

  it('about an answer of which nobody knows any more whether it had any counts only where it did before', () => {
    const forgetful = (one: SplitReport): SplitReport => ({
      ...one,
      rewarded: { knownFrom: 8, from: 8, bits: Uint8Array.of(1) },
    });
    const elsewhere = by(['b', told('i', [reward(1), reward(2), reward(9)])]);
    const later = reportsOf([forgetful(report('a', 'i', [1, 8]))]);
    // It knew of 2 that it had not been told; of 1 that it had.
    const { merges: before } = withElsewhere(reportsOf([report('a', 'i', [1])]), elsewhere);
    expect(feedbacks(merged(later, elsewhere, { before }))).toEqual([['a', 5, 4, 4]]);
    // It was told of 2 since, and forgot it before it said so.
    const toldSince = reportsOf([forgetful(report('a', 'i', [1, 2, 8]))]);
    expect(feedbacks(merged(toldSince, elsewhere, { before }))).toEqual([['a', 5, 4, 4]]);
    // A new leader knows neither, and what was counted while nobody reported of the process says nothing.
    expect(feedbacks(merged(later, elsewhere))).toEqual([['a', 5, 3, 3]]);
    const { merges: unknown } = withElsewhere(reportsOf([]), elsewhere);
    expect(feedbacks(merged(later, elsewhere, { before: unknown }))).toEqual([['a', 5, 3, 3]]);
  });

  it('counts not where a replica of an earlier version relays counts of feedback without the numbers', () => {
    const { rewarded: _, ...bare } = report('a', 'i', [1]);
    const elsewhere = by(['b', told('i', [reward(1), reward(2)])]);
    const { merges: before } = withElsewhere(reportsOf([report('a', 'i')]), elsewhere);
    expect(feedbacks(merged(reportsOf([bare]), elsewhere, { before }))).toEqual([['a', 5, 1, 1]]);
    expect(feedbacks(merged(reportsOf([report('a', 'i')]), elsewhere))).toEqual([['a', 5, 2, 2]]);
  });

  it('counts not where the process is one whose numbers nobody has any more', () => {
    const reports = reportsOf([report('a', 'i')]);
    const closed = new Set([placeOf(originOf('i'), 5)]);
    const elsewhere = by(['b', told('i', [reward(1)])]);
    expect(merged(reports, elsewhere, { closed })).toBe(reports);
  });

  it('is put together again only where something is new', () => {
    const reports = reportsOf([report('a', 'i'), report('b', 'j')]);
    const [ofI, ofJ] = [told('i', [reward(1)]), told('j', [reward(1)])];
    const { merges: before } = withElsewhere(reports, by(['c', ofI], ['d', ofJ]));
    const { merges: after } = withElsewhere(reports, by(['c', ofI], ['d', told('j', [reward(2)])]), {
      before,
    });
    const at = (instance: string): string => placeOf(originOf(instance), 5);
    expect(after.get(at('i'))?.reports).toBe(before.get(at('i'))?.reports);
    expect(after.get(at('j'))?.numbers).toEqual([2]);
  });
});
