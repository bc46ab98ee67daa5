import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { WeightedTarget } from '../../api/route.ts';
import { armOf, seedOf } from '../../rollout/splitter.ts';
import { compilePick } from './pick.ts';

const keys = Array.from({ length: 100_000 }, (_, i) => `user-${i}`);
const some = keys.slice(0, 2_000);
const pick = (targets: readonly WeightedTarget[]) => compilePick('team-a', 'assistant', 'default', targets);
const abc = (a: number, b: number, c: number): WeightedTarget[] => [
  { rollout: 'a', weight: a },
  { adapter: 'b', weight: b },
  { base: true, weight: c },
];
const label = (target: ReturnType<ReturnType<typeof pick>>): string =>
  target?.rollout ?? target?.adapter ?? (target?.base === true ? 'base' : 'none');

describe('the split of a rule', () => {
  it('is in proportion to the weights, by a chi-square test over 100,000 keys', () => {
    const choose = pick(abc(5, 3, 2));
    const counts = new Map<string, number>();
    for (const key of keys) counts.set(label(choose(key)), (counts.get(label(choose(key))) ?? 0) + 1);
    const expected = { a: 50_000, b: 30_000, base: 20_000 };
    const chi = Object.entries(expected).reduce(
      (sum, [l, e]) => sum + ((counts.get(l) ?? 0) - e) ** 2 / e,
      0,
    );
    // 99.9 % quantile with two degrees of freedom.
    expect(chi).toBeLessThan(13.82);
  });

  it('gives a target of weight 0 nothing, and has no target when all are 0', () => {
    const choose = pick(abc(0, 1, 0));
    expect(new Set(some.map((key) => label(choose(key))))).toEqual(new Set(['b']));
    expect(pick(abc(0, 0, 0))('u1')).toBeUndefined();
    const rare = pick(abc(0, 1_000_000, 1));
    expect(some.filter((key) => label(rare(key)) === 'base').length).toBeLessThan(3);
  });

  it('moves keys only to a target whose weight grew, and only the keys of one that went', () => {
    const weight = fc.integer({ min: 0, max: 20 });
    fc.assert(
      fc.property(weight, weight, weight, fc.integer({ min: 1, max: 50 }), (a, b, c, more) => {
        const [before, after, gone] = [
          pick(abc(a, b, c)),
          pick(abc(a, b + more, c)),
          pick(abc(a, b, c).toSpliced(1, 1)),
        ];
        for (const key of some.slice(0, 200)) {
          const [old, now, without] = [label(before(key)), label(after(key)), label(gone(key))];
          if (old !== now) expect(now).toBe('b');
          if (old !== 'b') expect(without).toBe(old);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('does not depend on the order of targets, and adds up a target that is there twice', () => {
    const [one, other] = [pick(abc(1, 2, 3)), pick(abc(1, 2, 3).toReversed())];
    const twice = pick([...abc(1, 1, 3), { adapter: 'b', weight: 1 }]);
    for (const key of some) {
      expect(label(other(key))).toBe(label(one(key)));
      expect(label(twice(key))).toBe(label(one(key)));
    }
  });

  it('cuts independently of a rollout behind it and of other rules', () => {
    const choose = pick(abc(1, 1, 0));
    const neighbour = compilePick('team-a', 'assistant', 'other', abc(1, 1, 0));
    const seed = seedOf('team-a', 'a', fakeDigest('a'));
    const cells = new Map<string, number>();
    for (const key of keys) {
      const cell = `${label(choose(key))} ${label(neighbour(key))} ${armOf(seed, key, 50)}`;
      cells.set(cell, (cells.get(cell) ?? 0) + 1);
    }
    const chi = [...cells.values()].reduce((sum, count) => sum + (count - 12_500) ** 2 / 12_500, 0);
    expect(cells.size).toBe(8);
    // 99.9 % quantile with seven degrees of freedom.
    expect(chi).toBeLessThan(24.32);
  });

  it('never changes its answers: users must keep their target across versions', () => {
    const choose = pick(abc(5, 3, 2));
    expect(
      some
        .slice(0, 8)
        .map((key) => label(choose(key)))
        .join(' '),
    ).toMatchInlineSnapshot(`"b a base a a base a a"`);
  });
});
