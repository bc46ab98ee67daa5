import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DecodeRun } from './decode-plan.ts';
import { bySimilarLength } from './similar-lengths.ts';

const runOf = (lengths: readonly number[], kind: 'one' | 'each' = 'one'): DecodeRun<string> => ({
  first: 0,
  count: lengths.length,
  rows: [...lengths.keys()],
  with: kind === 'one' ? { kind, adapter: 'a' } : { kind },
});

const split = (lengths: readonly number[], perStep: number, kind: 'one' | 'each' = 'one') =>
  bySimilarLength(runOf(lengths, kind), { lengthOf: (row) => lengths[row] ?? 0, perStep });

const rowsOf = (runs: readonly DecodeRun<string>[]) => runs.map(({ rows }) => rows.toSorted((a, b) => a - b));

/** What steps and padded rows cost. */
const costOf = (groups: readonly (readonly number[])[], lengths: readonly number[], perStep: number) =>
  groups.reduce(
    (sum, group) => sum + perStep + group.length * Math.max(...group.map((row) => lengths[row] ?? 0)),
    0,
  );

const partitions = (rows: readonly number[]): readonly (readonly (readonly number[])[])[] => {
  const [first, ...rest] = rows;
  if (first === undefined) return [[]];
  return partitions(rest).flatMap((groups) => [
    [[first], ...groups],
    ...groups.map((group, at) => groups.map((other, of) => (of === at ? [first, ...group] : other))),
  ]);
};

describe('rows that are padded to the longest of their step', () => {
  it('share one where they are about as long', () => {
    expect(rowsOf(split([50, 40, 60], 100))).toEqual([[0, 1, 2]]);
  });

  it('leave one that is much longer to a step of its own', () => {
    const runs = split([40, 1000, 40, 40], 100);
    expect(rowsOf(runs)).toEqual([[1], [0, 2, 3]]);
    expect(runs.map(({ first, count }) => [first, count])).toEqual([
      [1, 1],
      [0, 4],
    ]);
    expect(runs.every((run) => run.with.kind === 'one' && run.with.adapter === 'a')).toBe(true);
  });

  it('share one whatever their lengths where a step costs more than that, or nothing is padded', () => {
    expect(rowsOf(split([40, 1000, 40, 40], 10_000))).toEqual([[0, 1, 2, 3]]);
    const run = runOf([1, 10_000]);
    expect(bySimilarLength(run, { lengthOf: (row) => 10_000 * row, perStep: Infinity })).toEqual([run]);
  });

  it('are split as well where each has an adapter of its own', () => {
    const runs = split([40, 1000, 40, 40], 100, 'each');
    expect(rowsOf(runs)).toEqual([[1], [0, 2, 3]]);
    expect(runs.every((run) => run.with.kind === 'each')).toBe(true);
  });

  it('are in one run each, of the runs that cost least of all', () => {
    const lengths = fc.array(fc.nat(300), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 500 }), (own, perStep) => {
        const groups = rowsOf(split(own, perStep));
        expect(groups.flat().toSorted((a, b) => a - b)).toEqual([...own.keys()]);
        const least = Math.min(...partitions([...own.keys()]).map((each) => costOf(each, own, perStep)));
        expect(costOf(groups, own, perStep)).toBe(least);
      }),
    );
  });
});
