import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { anAdapterState } from '../testing/fake-fleet.ts';
import { AdapterTable } from './adapter-table.ts';
import { Cells } from './cells.ts';
import type { AdapterState } from './fleet.ts';

const key = (at: number) => objectKey('team-a', `adapter-${at}`);
const state = (at: number, storedBytes = at) =>
  anAdapterState('0'.repeat(36), '', 'Resident', { storedBytes, targetModules: ['q_proj', 'v_proj'] });
const sorted = (map: ReadonlyMap<ObjectKey, AdapterState>) =>
  [...map].sort(([a], [b]) => (a < b ? -1 : Number(a > b)));

describe('what a runtime says of adapters', () => {
  it('is what a Map of the same would have, and no cell is left of tables that were let go', () => {
    const action = fc.record({
      table: fc.nat(2),
      what: fc.constantFrom('set', 'set', 'set', 'delete', 'clear'),
      adapter: fc.nat(60),
      state: fc.nat(12),
    });
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 400, size: 'max' }), (actions) => {
        const cells = new Cells();
        const tables = [0, 1, 2].map(() => ({ table: new AdapterTable(cells), map: new Map() }));
        for (const { table: at, what, adapter, state: value } of actions) {
          const { table, map } = tables[at] ?? tables[0] ?? expect.fail();
          const name = key(adapter);
          if (what === 'set') {
            table.set(name, state(adapter, value));
            map.set(name, state(adapter, value));
          } else if (what === 'delete') {
            expect(table.delete(name)).toBe(map.delete(name) ? name : undefined);
          } else if (adapter === 0) {
            table.clear();
            map.clear();
          }
          expect([table.size, table.get(name), table.has(name)]).toEqual([
            map.size,
            map.get(name),
            map.has(name),
          ]);
        }
        for (const { table, map } of tables) expect(sorted(table)).toEqual(sorted(map));
        for (const { table } of tables) table.clear();
        expect(cells.size).toBe(0);
      }),
    );
  });

  it('is four bytes in a table for each of 10,000, and one object for all runtimes', () => {
    const cells = new Cells();
    const [first, second] = [new AdapterTable(cells), new AdapterTable(cells)];
    for (const table of [first, second]) for (let at = 0; at < 10_000; at += 1) table.set(key(at), state(at));
    for (let at = 0; at < 10_000; at += 1) expect(second.get(key(at))).toBe(first.get(key(at)));
    expect(cells.size).toBe(10_000);
    // Slots are a power of two, and at most three quarters of them are used.
    expect(first.bytes).toBe(4 * 16_384);
  });

  it('has its own copy of a state where an adapter has more than eight of them', () => {
    const cells = new Cells();
    const tables = Array.from({ length: 20 }, () => new AdapterTable(cells));
    for (const [at, table] of tables.entries()) table.set(key(0), state(0, at));
    const late = new AdapterTable(cells);
    late.set(key(0), state(0, 0));
    late.set(key(0), state(0, 19));
    expect(late.get(key(0))).toBe(tables[19]?.get(key(0)));
    for (const [at, table] of tables.entries()) expect(table.get(key(0))).toMatchObject({ storedBytes: at });
    for (const table of [...tables, late]) table.clear();
    expect(cells.size).toBe(0);
  });

  it('can be changed while somebody goes through it', () => {
    const table = new AdapterTable(new Cells());
    for (let at = 0; at < 100; at += 1) table.set(key(at), state(at));
    const seen = [...table.keys()].length;
    let count = 0;
    for (const name of table.keys()) {
      table.delete(name);
      count += 1;
    }
    expect([seen, count, table.size]).toEqual([100, 100, 0]);
  });
});
