import { afterEach, expect } from 'vitest';
import { NativeMemory } from '../ort/memory.ts';
import { numbersAt, putNumbers } from '../session/kv-rows.fixture.ts';
import { AdapterRows } from './adapter-rows.ts';
import type { Feeds, LoraTensors } from './feeds.ts';
import type { PairAt } from './loaded-adapter.ts';

const sites = [
  { module: 'q', inFeatures: 3, outFeatures: 5 },
  { module: 'v', inFeatures: 6, outFeatures: 2 },
];

/** A graph that only keeps what it would feed, and counts the feeds that were not released. */
class FakeGraph {
  made = 0;
  kept = 0;

  readonly feeds = (lora: LoraTensors): Feeds => {
    this.made += 1;
    this.kept += 1;
    let released = false;
    const release = (): void => {
      expect(released).toBe(false);
      released = true;
      this.kept -= 1;
    };
    return { lora, release } as unknown as Feeds;
  };
}

const memories: NativeMemory[] = [];

/** An adapter whose values are its `seed` and where they stand. */
export class FakeAdapter {
  readonly rank: number;
  readonly modules: readonly string[];
  readonly seed: number;
  /** Times that somebody asked where a pair is: to copy it. */
  asked = 0;
  readonly #pairs: ReadonlyMap<string, PairAt>;

  constructor(seed: number, rank: number, modules: readonly string[] = ['q', 'v']) {
    this.seed = seed;
    this.rank = rank;
    this.modules = modules;
    this.#pairs = new Map(
      sites
        .filter(({ module }) => modules.includes(module))
        .map(({ module }) => [
          module,
          { rank, a: this.#put(this.values(module, 'A')), b: this.#put(this.values(module, 'B')) },
        ]),
    );
  }

  pairAt(module: string): PairAt | undefined {
    this.asked += 1;
    return this.#pairs.get(module);
  }

  values(module: string, half: 'A' | 'B'): Float32Array {
    const length = this.rank * featuresOf(module, half);
    const start = this.seed * 10_000 + (module === 'q' ? 0 : 4000) + (half === 'A' ? 0 : 2000) + 1;
    return Float32Array.from({ length }, (_, index) => start + index);
  }

  /** As an adapter that is freed: others write to its memory. */
  overwrite(): void {
    for (const [module, { a, b }] of this.#pairs) {
      putNumbers(a, this.values(module, 'A').fill(NaN));
      putNumbers(b, this.values(module, 'B').fill(NaN));
    }
  }

  #put(values: Float32Array): bigint {
    const memory = new NativeMemory(values.byteLength);
    memories.push(memory);
    new Float32Array(memory.buffer).set(values);
    return memory.address;
  }
}

const featuresOf = (module: string, half: 'A' | 'B'): number => {
  const { inFeatures, outFeatures } = sites.find((site) => site.module === module)!;
  return half === 'A' ? inFeatures : outFeatures;
};

export const lora = (feeds: Feeds): LoraTensors => (feeds as unknown as { lora: LoraTensors }).lora;

/** What a tensor of the feeds has in one row. */
const rowOf = (feeds: Feeds, name: string, row: number): Float32Array => {
  const { shape, address } = lora(feeds).get(name)!;
  const size = shape[1]! * shape[2]!;
  return numbersAt(address + BigInt(row * size * Float32Array.BYTES_PER_ELEMENT), size);
};

/** What must stand in a row: the values of its adapter, then zeros. */
const expected = (
  adapter: FakeAdapter | null,
  module: string,
  half: 'A' | 'B',
  rank: number,
): Float32Array => {
  const row = new Float32Array(rank * featuresOf(module, half));
  if (adapter?.modules.includes(module) === true) row.set(adapter.values(module, half));
  return row;
};

export const checkRows = (
  feeds: Feeds,
  adapters: readonly (FakeAdapter | null | undefined)[],
  rank: number,
): void => {
  for (const { module } of sites) {
    for (const half of ['A', 'B'] as const) {
      const name = `lora.${module}.${half}`;
      if (!adapters.some((adapter) => adapter?.modules.includes(module)) && !lora(feeds).has(name)) continue;
      expect(lora(feeds).get(name)!.shape).toEqual([adapters.length, rank, featuresOf(module, half)]);
      for (const [row, adapter] of adapters.entries()) {
        if (adapter === undefined) continue;
        expect(rowOf(feeds, name, row)).toEqual(expected(adapter, module, half, rank));
      }
    }
  }
};

const opened: AdapterRows[] = [];
export const open = (rows = 4, budgetBytes = 1 << 20) => {
  const graph = new FakeGraph();
  const copies = new AdapterRows(graph, { sites, rows, budgetBytes });
  opened.push(copies);
  return { graph, copies };
};
afterEach(() => {
  for (const copies of opened.splice(0)) copies.release();
  for (const memory of memories.splice(0)) memory.free();
});
