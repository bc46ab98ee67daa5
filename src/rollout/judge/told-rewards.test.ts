import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Elsewhere, placeOf, type ToldReward, ToldRewards } from './told-rewards.ts';

const reward = (number: number, value = 1): ToldReward => ({
  number,
  bucket: number % 64,
  arm: number % 3 === 0 ? 'stable' : 'canary',
  reward: value,
});
const told = (origin: string, seq: number, rewards: readonly ToldReward[], weight = 5): Elsewhere => ({
  origin,
  weight,
  seq,
  rewards,
});
/** Rewards by answer. */
const plain = (list: ToldRewards): ReadonlyMap<string, number> =>
  new Map(
    list
      .unpacked()
      .flatMap(({ origin, weight, rewards }) =>
        rewards.map((one) => [`${placeOf(origin, weight)} ${one.number}`, one.reward] as const),
      ),
  );

describe('rewards that were told elsewhere', () => {
  it('are what they were, in 13 bytes each', () => {
    const all = [
      told('a', 7, [reward(0, -0.5), reward(2 ** 32 - 1, 1e9), { ...reward(5), bucket: 63, arm: 'stable' }]),
      told('a', 8, [reward(3)], 100),
    ];
    const list = ToldRewards.of(all);
    expect(list.unpacked()).toEqual(all);
    expect([list.size, list.records.length]).toEqual([4, 52]);
  });

  it('are one list for each place, each answer once, the later reward', () => {
    const list = ToldRewards.of([
      told('a', 1, [reward(1), reward(2), reward(1, 9)]),
      told('b', 1, []),
      told('a', 2, [reward(2, 8), reward(4)]),
    ]);
    expect(list.unpacked()).toEqual([told('a', 2, [reward(1, 9), reward(2, 8), reward(4)])]);
  });

  it('share what names a process with all other lists', () => {
    const [one, other] = [
      ToldRewards.of([told('a', 1, [reward(1)])]),
      ToldRewards.of([told('a', 2, [reward(2)])]),
    ];
    expect(one.places[0]).toBe(other.places[0]);
  });

  it('stay the same object where nothing is new', () => {
    const list = ToldRewards.of([told('a', 1, [reward(1), reward(2)])]);
    expect(list.with(ToldRewards.of([told('a', 5, [reward(2)])]))).toBe(list);
    expect(list.with(ToldRewards.none)).toBe(list);
    expect(list.last(2)).toBe(list);
  });

  it('go with the first places where there are more than are kept', () => {
    const list = ToldRewards.of([
      told('a', 1, [reward(1)]),
      told('b', 2, [reward(1), reward(2), reward(3)]),
      told('c', 3, [reward(1)]),
    ]);
    expect(list.last(3).unpacked()).toEqual([
      told('b', 2, [reward(2), reward(3)]),
      told('c', 3, [reward(1)]),
    ]);
    expect(list.last(0).size).toBe(0);
  });

  it('are joined, and told since, as sets of answers are', () => {
    const one = fc.record({
      origin: fc.constantFrom('a', 'b', 'c'),
      seq: fc.nat(9),
      weight: fc.constantFrom(5, 50),
      rewards: fc.array(
        fc.tuple(fc.nat(12), fc.nat(2)).map(([number, value]) => reward(number, value)),
        { maxLength: 8 },
      ),
    });
    const list = fc.array(one, { maxLength: 5 }).map((all) => ToldRewards.of(all));
    fc.assert(
      fc.property(list, list, fc.nat(20), (before, news, most) => {
        const joined = before.with(news);
        expect(plain(joined)).toEqual(new Map([...plain(before), ...plain(news)]));
        expect(joined.size).toBe(plain(joined).size);
        const since = joined.since(before) ?? expect.fail('all of it is there');
        const expected = [...plain(joined)].filter(([answer, value]) => plain(before).get(answer) !== value);
        expect(plain(since)).toEqual(new Map(expected));
        expect(before.with(since)).toEqual(joined);
        const kept = joined.last(most);
        expect(kept.size).toBe(Math.min(most, joined.size));
        expect([...plain(joined)]).toEqual(expect.arrayContaining([...plain(kept)]));
        expect(kept.since(joined) === undefined).toBe(kept.size < joined.size);
      }),
    );
  });
});
