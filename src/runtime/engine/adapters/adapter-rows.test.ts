import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkRows, FakeAdapter, lora, open } from './adapter-rows.fixture.ts';
import type { InRow } from './adapter-rows.ts';

describe('adapters of different requests, row by row', () => {
  it('stand there with their ranks filled up with zeros', () => {
    const { copies } = open();
    const [small, large] = [new FakeAdapter(1, 2), new FakeAdapter(2, 7)];
    checkRows(copies.feeds(0, [small, large]), [small, large], 8);
  });

  it.each([
    [1, 4],
    [4, 4],
    [5, 8],
    [8, 8],
    [9, 16],
    [64, 64],
    [65, 128],
  ])('of rank %i at most stand in rows of rank %i: a power of two', (rank, laidOut) => {
    const { copies } = open(2);
    const adapter = new FakeAdapter(1, rank);
    checkRows(copies.feeds(0, [adapter]), [adapter], laidOut);
  });

  it('are zeros at a site that an adapter does not target, and everywhere for the base model', () => {
    const { copies } = open();
    const [full, part] = [new FakeAdapter(1, 4), new FakeAdapter(2, 4, ['v'])];
    checkRows(copies.feeds(0, [full, full, full]), [full, full, full], 4);
    checkRows(copies.feeds(0, [full, part, null]), [full, part, null], 4);
  });

  it('stay in their rows, by a copy, until others come there', () => {
    const { copies, graph } = open();
    const [first, second, third] = [1, 2, 3].map((seed) => new FakeAdapter(seed, 4)) as [
      FakeAdapter,
      FakeAdapter,
      FakeAdapter,
    ];
    const feeds = copies.feeds(0, [first, second]);
    const asked = first.asked;
    first.overwrite();
    expect(copies.feeds(0, [first, second])).toBe(feeds);
    checkRows(copies.feeds(0, [first, third]), [first, third], 4);
    expect(first.asked).toBe(asked);
    checkRows(copies.feeds(0, [second, third]), [second, third], 4);
    expect(graph.made).toBe(1);
  });

  it('stay in a row whose answer nobody reads in a step', () => {
    const { copies } = open();
    const [first, second] = [new FakeAdapter(1, 4), new FakeAdapter(2, 4)];
    copies.feeds(0, [first, second]);
    const asked = first.asked;
    copies.feeds(0, [undefined, second]);
    expect(copies.holds(0, first)).toBe(true);
    checkRows(copies.feeds(0, [first, second]), [first, second], 4);
    expect(first.asked).toBe(asked);
  });

  it('are taken only where the graph has inputs for all that they target', () => {
    const { copies } = open();
    expect(copies.takes(new FakeAdapter(1, 4, ['v']))).toBe(true);
    expect(copies.takes(new FakeAdapter(1, 4, ['v', 'o']))).toBe(false);
  });

  it('are known by their row', () => {
    const { copies } = open();
    const [first, second] = [new FakeAdapter(1, 4), new FakeAdapter(2, 4)];
    expect([copies.holds(1, first), copies.holds(1, null)]).toEqual([false, false]);
    copies.feeds(1, [first, null]);
    expect([copies.holds(1, first), copies.holds(1, second), copies.holds(2, null)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('can be fed from any row on', () => {
    const { copies } = open();
    const adapters = [1, 2, 3].map((seed) => new FakeAdapter(seed, 4));
    copies.feeds(0, [null, ...adapters]);
    checkRows(copies.feeds(2, adapters.slice(1)), adapters.slice(1), 4);
    checkRows(copies.feeds(0, [null, adapters[0]]), [null, adapters[0]], 4);
  });

  it('are all laid out anew when a larger rank comes', () => {
    const { copies, graph } = open();
    const [small, large] = [new FakeAdapter(1, 4), new FakeAdapter(2, 16)];
    copies.feeds(0, [small, null]);
    checkRows(copies.feeds(0, [small, large]), [small, large], 16);
    expect(graph.kept).toBe(1);
    checkRows(copies.feeds(2, [small, null]), [small, null], 16);
    checkRows(copies.feeds(0, [null, small]), [null, small], 16);
  });

  it('stay as they are when the largest one goes, and are laid out anew once it does not come back', () => {
    const { copies, graph } = open();
    const [small, large] = [new FakeAdapter(1, 4), new FakeAdapter(2, 16)];
    /** Steps without the large one that have the room for it. */
    const large16 = (): number => {
      for (let steps = 0; steps < 1000; steps += 1) {
        const feeds = copies.feeds(0, [small, null]);
        const rank = lora(feeds).get('lora.q.A')!.shape[1]!;
        checkRows(feeds, [small, null], rank);
        if (rank === 4) return steps;
      }
      return Infinity;
    };
    checkRows(copies.feeds(0, [small, large]), [small, large], 16);
    const steps = large16();
    expect(steps).toBeGreaterThan(1);
    expect(steps).toBeLessThan(1000);
    expect(graph.kept).toBe(1);
    checkRows(copies.feeds(0, [small, large]), [small, large], 16);
    const { asked } = large;
    for (let step = 1; step < steps; step += 1) copies.feeds(0, [small, undefined]);
    copies.feeds(0, [small, large]);
    expect(large.asked).toBe(asked);
    expect(large16()).toBe(steps);
  });
});

describe('the memory for copies', () => {
  /** Of two rows of rank 4: 16 features each, filled up to 64 bytes per half and site. */
  const twoRows = 128 + 192 + 192 + 64;

  it('holds ranks that fit with all rows, and no larger ones', () => {
    const [fitting, large] = [new FakeAdapter(1, 4), new FakeAdapter(2, 5)];
    const { copies } = open(2, twoRows);
    expect([fitting, large, null].map((adapter) => copies.takes(adapter))).toEqual([true, false, true]);
    expect(open(2, twoRows - 1).copies.takes(fitting)).toBe(false);
    expect(open(2, 0).copies.takes(null)).toBe(false);
  });

  it('refuses a rank that does not fit, and goes on with those that do', () => {
    const { copies } = open(2, twoRows);
    const [small, large] = [new FakeAdapter(1, 4), new FakeAdapter(2, 5)];
    copies.feeds(0, [small, null]);
    expect(() => copies.feeds(0, [small, large])).toThrow(RangeError);
    checkRows(copies.feeds(0, [small, null]), [small, null], 4);
  });

  it('is given back with all feeds that were made', () => {
    const { copies, graph } = open();
    for (const count of [1, 2, 3])
      copies.feeds(
        0,
        Array.from({ length: count }, () => null),
      );
    expect(graph.kept).toBe(3);
    copies.release();
    expect(graph.kept).toBe(0);
  });

  it('is not taken up by feeds of more and more spans', () => {
    const { copies, graph } = open(16);
    for (let first = 0; first < 16; first += 1) {
      for (let count = 1; first + count <= 16; count += 1) {
        copies.feeds(
          first,
          Array.from({ length: count }, () => null),
        );
      }
    }
    expect(graph.made).toBeGreaterThan(100);
    expect(graph.kept).toBeLessThanOrEqual(64);
  });
});

describe('steps of random adapters', () => {
  const rows = 5;
  const step = fc
    .nat(rows - 1)
    .chain((first) =>
      fc.tuple(
        fc.constant(first),
        fc.array(fc.option(fc.nat(7), { nil: undefined }), { minLength: 1, maxLength: rows - first }),
      ),
    );

  it('have in each row what belongs there, whatever stood there before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { copies, graph } = open(rows);
        const some: readonly (FakeAdapter | null)[] = [
          null,
          ...[1, 3, 4, 6, 8].map((rank, index) => new FakeAdapter(index + 1, rank)),
          new FakeAdapter(6, 4, ['q']),
          new FakeAdapter(7, 20, ['v']),
        ];
        for (const [first, picks] of steps) {
          const adapters = picks.map((pick) => (pick === undefined ? undefined : some[pick]));
          const feeds = copies.feeds(first, adapters satisfies readonly InRow[]);
          const [tensor] = lora(feeds).values();
          const rank = tensor?.shape[1] ?? Infinity;
          expect(rank).toBeGreaterThanOrEqual(Math.max(4, ...adapters.map((adapter) => adapter?.rank ?? 0)));
          checkRows(feeds, adapters, rank);
        }
        copies.release();
        expect(graph.kept).toBe(0);
      }),
    );
  });
});
