import { describe, expect, it } from 'vitest';
import type { RuntimeFact } from '../facts.ts';
import { alone } from './alone.ts';
import { isLost, losesMore } from './losses.ts';

const since = 1000;
const fleet = (all: number, lost: number): RuntimeFact[] =>
  Array.from({ length: all }, (_, i) =>
    alone('rollout-1', {
      key: `n${i}`,
      labels: {},
      isConnected: i >= lost,
      ...(i < lost ? { awaySince: since } : {}),
      isServing: true,
      canary: 'Pending',
      why: '',
    }),
  );

describe('whether a group lost more runtimes than others did', () => {
  it.each([
    ['one of one, and none of four others', [1, 1], [4, 0], true],
    ['all, and all others: the night has come', [4, 4], [4, 4], false],
    ['a tenth, and a tenth of many', [100, 10], [1000, 100], false],
    ['a tenth, and a twentieth of many', [100, 10], [1000, 50], true],
    ['one of twenty, and none of three: so few say little', [20, 1], [3, 0], false],
    ['one of twenty, and none of a hundred', [20, 1], [100, 0], true],
    ['half, with nobody to compare with', [4, 2], [0, 0], false],
    ['more than half, with nobody to compare with', [4, 3], [0, 0], true],
    ['none', [4, 0], [4, 4], false],
  ] as const)('%s: %j of %j', (_, [all, lost], [others, lostOthers], expected) => {
    expect(losesMore(fleet(all, lost), fleet(others, lostOthers), since)).toBe(expected);
  });

  it('does not count one that was gone before, and one of which nobody knows when it went', () => {
    const [gone] = fleet(1, 1);
    if (gone === undefined) throw new Error('no runtime');
    expect(isLost(gone, since)).toBe(true);
    expect(isLost({ ...gone, awaySince: since - 1 }, since)).toBe(false);
    expect(isLost({ ...gone, awaySince: undefined }, since)).toBe(false);
    expect(isLost({ ...gone, isConnected: true }, since)).toBe(false);
  });
});
