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

const plan = (text: string, mixed = true, together = true) => planDecode(rowsOf(text), { together, mixed });

const one = (adapter: Adapter): DecodeRun<Adapter>['with'] => ({ kind: 'one', adapter });
const each = { kind: 'each' } as const;

describe('the runs of a decode step', () => {
  it('are none when nobody wants a token', () => {
    expect(plan('---')).toEqual([]);
  });

  it('are one for the rows of an adapter that is the only one, over the rows between them as well', () => {
    expect(plan('-a-aa-')).toEqual([{ first: 1, count: 4, rows: [1, 3, 4], with: one('a') }]);
    expect(plan('..')).toEqual([{ first: 0, count: 2, rows: [0, 1], with: one(null) }]);
  });

  it('are one for rows of different adapters, each with its own', () => {
    expect(plan('ab-.')).toEqual([{ first: 0, count: 4, rows: [0, 1, 3], with: each }]);
  });

  it('are one for each adapter where the graph takes one for all rows', () => {
    expect(plan('ab.a', false)).toEqual([
      { first: 0, count: 4, rows: [0, 3], with: one('a') },
      { first: 1, count: 1, rows: [1], with: one('b') },
      { first: 2, count: 1, rows: [2], with: one(null) },
    ]);
  });

  it('are one per row where the graph takes one sequence at a time', () => {
    expect(plan('a.a', true, false)).toEqual([
      { first: 0, count: 1, rows: [0], with: one('a') },
      { first: 1, count: 1, rows: [1], with: one(null) },
      { first: 2, count: 1, rows: [2], with: one('a') },
    ]);
  });

  it('want each row once, cover their rows, keep adapters apart where they do not mix, and are as few as that allows', () => {
    const rows = fc.uniqueArray(
      fc.record({ row: fc.nat(15), adapter: fc.constantFrom<Adapter>(...adapters) }),
      { selector: ({ row }) => row, maxLength: 12 },
    );
    fc.assert(
      fc.property(rows, fc.boolean(), fc.boolean(), (asked, mixed, together) => {
        const adapterOf = new Map(asked.map(({ row, adapter }) => [row, adapter]));
        const runs = planDecode(asked, { together, mixed });
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
            expect(mixed).toBe(true);
          }
        }
        const all = new Set(adapterOf.values()).size;
        const fewest = together ? (mixed ? Math.min(1, all) : all) : asked.length;
        expect(runs).toHaveLength(fewest);
      }),
    );
  });
});
