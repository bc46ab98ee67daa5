import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DecodeRow, type DecodeRun, planDecode } from './decode-plan.ts';

type Adapter = 'a' | 'b' | 'c' | null;

const adapters = ['a', 'b', 'c', null] as const satisfies readonly Adapter[];

/** Rows by number; `-`: nobody wants a token there, `.`: the base model. */
const rowsOf = (text: string): readonly DecodeRow<Adapter>[] =>
  text
    .split('')
    .flatMap((letter, row) =>
      letter === '-' ? [] : [{ row, adapter: letter === '.' ? null : (letter as 'a' | 'b' | 'c') }],
    );

const rowsWith =
  (mixing: readonly Adapter[]) =>
  (rows: readonly DecodeRow<Adapter>[]): ReadonlySet<number> =>
    new Set(rows.filter(({ adapter }) => mixing.includes(adapter)).map(({ row }) => row));

const plan = (text: string, mixing: readonly Adapter[] = adapters, together = true) =>
  planDecode(rowsOf(text), { together, mixing: rowsWith(mixing) });

const one = (adapter: Adapter): DecodeRun<Adapter>['with'] => ({ kind: 'one', adapter });
const each = { kind: 'each' } as const;

describe('the runs of a decode step', () => {
  it('are none when nobody wants a token', () => {
    expect(plan('---')).toEqual([]);
  });

  it('are one on the own graph of an adapter that is the only one, over the rows between its rows as well', () => {
    expect(plan('-a-aa-')).toEqual([{ first: 1, count: 4, rows: [1, 3, 4], with: one('a') }]);
    expect(plan('..')).toEqual([{ first: 0, count: 2, rows: [0, 1], with: one(null) }]);
  });

  it('are one for rows of different adapters, each with its own', () => {
    expect(plan('ab-.')).toEqual([{ first: 0, count: 4, rows: [0, 1, 3], with: each }]);
  });

  it('are one more for each adapter that cannot stand beside others', () => {
    expect(plan('bcab.c', ['a', null])).toEqual([
      { first: 2, count: 3, rows: [2, 4], with: each },
      { first: 0, count: 4, rows: [0, 3], with: one('b') },
      { first: 1, count: 5, rows: [1, 5], with: one('c') },
    ]);
  });

  it('are one for the rows that have room beside each other, though others of their adapters have not', () => {
    const rows = rowsOf('abab');
    expect(planDecode(rows, { together: true, mixing: () => new Set([0, 1, 2]) })).toEqual([
      { first: 0, count: 3, rows: [0, 1, 2], with: each },
      { first: 3, count: 1, rows: [3], with: one('b') },
    ]);
  });

  it('are one per adapter where only one of them could stand beside others: its own graph is faster', () => {
    expect(plan('aba', ['a'])).toEqual([
      { first: 0, count: 3, rows: [0, 2], with: one('a') },
      { first: 1, count: 1, rows: [1], with: one('b') },
    ]);
  });

  it('are one per row where the graph takes one sequence at a time', () => {
    expect(plan('a.a', adapters, false)).toEqual([
      { first: 0, count: 1, rows: [0], with: one('a') },
      { first: 1, count: 1, rows: [1], with: one(null) },
      { first: 2, count: 1, rows: [2], with: one('a') },
    ]);
  });

  it('want each row once, cover their rows, keep adapters apart that do not mix, and are as few as that allows', () => {
    const rows = fc.uniqueArray(
      fc.record({ row: fc.nat(15), adapter: fc.constantFrom<Adapter>(...adapters) }),
      { selector: ({ row }) => row, maxLength: 12 },
    );
    fc.assert(
      fc.property(rows, fc.subarray<Adapter>([...adapters]), fc.boolean(), (asked, mixing, together) => {
        const adapterOf = new Map(asked.map(({ row, adapter }) => [row, adapter]));
        const mixes = (adapter: Adapter): boolean => mixing.includes(adapter);
        const runs = planDecode(asked, { together, mixing: rowsWith(mixing) });
        expect(runs.flatMap((run) => run.rows).toSorted((a, b) => a - b)).toEqual(
          [...adapterOf.keys()].toSorted((a, b) => a - b),
        );
        for (const run of runs) {
          expect(run.first).toBe(Math.min(...run.rows));
          expect(run.first + run.count - 1).toBe(Math.max(...run.rows));
          const own = new Set(run.rows.map((row) => adapterOf.get(row)!));
          if (run.with.kind === 'one') expect([...own]).toEqual([run.with.adapter]);
          else {
            expect(own.size).toBeGreaterThan(1);
            expect([...own].every(mixes)).toBe(true);
          }
        }
        const all = [...new Set(adapterOf.values())];
        const mixed = all.filter(mixes);
        const fewest = together ? all.length - Math.max(0, mixed.length - 1) : asked.length;
        expect(runs).toHaveLength(fewest);
      }),
    );
  });
});
