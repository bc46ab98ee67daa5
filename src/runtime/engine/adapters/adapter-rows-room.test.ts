import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkRows, FakeAdapter, lora, open } from './adapter-rows.fixture.ts';
import type { AdapterRows } from './adapter-rows.ts';

describe('rows that have no room all together', () => {
  /** Of a row of rank 4 at q, and at v: 8 features each. */
  const perSite = 4 * 8 * 4;
  const rowsOf = (...adapters: readonly (FakeAdapter | null)[]) =>
    adapters.map((adapter, row) => ({ row, adapter }));
  const chosen = (copies: AdapterRows, ...adapters: readonly (FakeAdapter | null)[]) =>
    [...copies.choose(rowsOf(...adapters))].toSorted((a, b) => a - b);
  const some = (count: number, rank: number, modules?: readonly string[]) =>
    Array.from({ length: count }, (_, seed) => new FakeAdapter(seed + 1, rank, modules));

  it('stand beside each other as far as there is: the first ones', () => {
    const { copies } = open(8, 3 * 2 * perSite + 2 * 64);
    const adapters = some(8, 4);
    expect(chosen(copies, ...adapters)).toEqual([0, 1, 2]);
    const [first, second, third] = adapters;
    checkRows(copies.feeds(0, [first, second, third]), [first, second, third], 4);
    expect(() => copies.feeds(0, adapters)).toThrow(RangeError);
  });

  it('leave out the large one rather than all others', () => {
    const { copies } = open(8, 4 * 2 * perSite + 4 * 64);
    const [large] = some(1, 64);
    expect(chosen(copies, large!, ...some(3, 4))).toEqual([1, 2, 3]);
    expect(chosen(copies, ...some(2, 4), null, large!)).toEqual([0, 1, 2]);
  });

  it('need room only at the sites that one of them targets', () => {
    const { copies } = open(8, 4 * perSite + 2 * 64);
    const adapters = some(4, 4, ['v']);
    expect(chosen(copies, ...adapters)).toEqual([0, 1, 2, 3]);
    expect(copies.bytesFor(rowsOf(...adapters))).toBe(4 * perSite);
    const feeds = copies.feeds(0, adapters);
    expect([...lora(feeds).keys()]).toEqual(['lora.v.A', 'lora.v.B']);
    checkRows(feeds, adapters, 4);
    const [both] = some(1, 4);
    expect(chosen(copies, adapters[0]!, both!)).toEqual([0, 1]);
    checkRows(copies.feeds(0, [adapters[0], both]), [adapters[0], both], 4);
    expect(chosen(copies, adapters[0]!, both!, null)).toEqual([0, 2]);
  });

  it('need inputs of the graph for all that they target', () => {
    const { copies } = open(4);
    const [inside, outside] = [new FakeAdapter(1, 4), new FakeAdapter(2, 4, ['v', 'o'])];
    expect(chosen(copies, inside, outside, null)).toEqual([0, 2]);
  });

  it('are always ones that can be fed, in the order in which they come', () => {
    const adapter = fc.record({
      rank: fc.constantFrom(1, 4, 7, 16),
      modules: fc.constantFrom(['q'], ['v'], ['q', 'v']),
    });
    const steps = fc.array(fc.array(fc.option(fc.nat(5)), { minLength: 1, maxLength: 6 }), { maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(adapter, { minLength: 6, maxLength: 6 }),
        steps,
        fc.integer({ min: 200, max: 12_000 }),
        (kinds, all, budget) => {
          const { copies } = open(6, budget);
          const made = kinds.map(({ rank, modules }, seed) => new FakeAdapter(seed + 1, rank, modules));
          for (const picks of all) {
            const asked = rowsOf(...picks.map((pick) => (pick === null ? null : made[pick]!)));
            const rows = copies.choose(asked);
            const there = asked.map(({ row, adapter: one }) => (rows.has(row) ? one : undefined));
            const standing = there.slice(0, 1 + Math.max(-1, ...rows));
            if (standing.length === 0) continue;
            const feeds = copies.feeds(0, standing);
            const [tensor] = lora(feeds).values();
            checkRows(feeds, standing, tensor?.shape[1] ?? 4);
          }
          copies.release();
        },
      ),
    );
  });
});
