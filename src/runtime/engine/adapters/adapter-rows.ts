import type { Site } from '../../compiled/compile-target.ts';
import { inputOf } from '../onnx/inject.ts';
import { copy, reserve, unreserve, zero } from '../ort/libc.ts';
import { OrtTensor } from '../ort/tensor.ts';
import type { Feeds, LoraTensors } from './feeds.ts';
import type { FeedMaker, LoadedAdapter } from './loaded-adapter.ts';

/** What can stand in a row: an adapter, null for the base model, undefined for a row whose answer nobody reads. */
export type InRow = Pick<LoadedAdapter, 'rank' | 'modules' | 'pairAt'> | null | undefined;

export type AdapterRowsOptions = {
  /** Where the graph takes one pair per row; nothing is added at its others. */
  readonly sites: readonly Site[];
  readonly rows: number;
  /** Memory for the copies. */
  readonly budgetBytes: number;
};

const floatBytes = Float32Array.BYTES_PER_ELEMENT;
const alignment = 64;
const minRank = 4;
/** Feeds of spans are kept: making them costs more than a switch. */
const maxSpans = 64;

/** Copying all rows anew costs as much as some steps with rows that are too large. */
const patience = 8;

/** Adapters of different ranks stand in rows of one rank, filled up with zeros: the least power of two that holds it. */
const rowRank = (rank: number): number => 2 ** Math.ceil(Math.log2(Math.max(minRank, rank)));

type Half = { readonly half: 'A' | 'B'; readonly module: string; readonly features: number };

/** A half of all rows: [rows, rank, features], and where it begins. */
type Place = Half & { readonly at: number };

const halvesOf = (sites: readonly Site[]): readonly Half[] =>
  sites.flatMap(({ module, inFeatures, outFeatures }) => [
    { half: 'A' as const, module, features: inFeatures },
    { half: 'B' as const, module, features: outFeatures },
  ]);

/**
 * Copies of adapters, row by row, as a decode step of rows with different adapters reads them: one tensor per half and
 * site, [rows, rank, features]. A copy stays in its row until another adapter comes there, so a request that joins costs
 * one copy and a step costs none.
 *
 * Assumes that calls come between steps. An adapter that is freed leaves a copy that nobody asks for.
 */
export class AdapterRows {
  readonly #graph: FeedMaker;
  readonly #options: AdapterRowsOptions;
  readonly #halves: readonly Half[];
  readonly #modules: ReadonlySet<string>;
  readonly #content: InRow[];
  readonly #taken = new WeakMap<NonNullable<InRow>, boolean>();
  /** Of all rows, by their rank. */
  readonly #bytes = new Map<number, number>();
  #address: bigint | undefined;
  #rank = 0;
  /** Calls in a row that half of the rank would have done for. */
  #tooLarge = 0;
  #places: readonly Place[] = [];
  readonly #feeds = new Map<number, Feeds>();

  constructor(graph: FeedMaker, options: AdapterRowsOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#halves = halvesOf(options.sites);
    this.#modules = new Set(options.sites.map(({ module }) => module));
    this.#content = Array.from({ length: options.rows }, () => undefined);
  }

  /** True when an adapter, or the base model, can stand beside others: by its rank, and by what it targets. */
  takes(adapter: NonNullable<InRow> | null): boolean {
    if (adapter === null) return this.#fits(0);
    const known = this.#taken.get(adapter);
    if (known !== undefined) return known;
    // Every step asks this of every row, and the answer stays.
    const takes = this.#fits(adapter.rank) && adapter.modules.every((module) => this.#modules.has(module));
    this.#taken.set(adapter, takes);
    return takes;
  }

  /** True when the row has a copy of this already. */
  holds(row: number, adapter: InRow): boolean {
    return this.#content[row] === adapter;
  }

  /**
   * Feeds for as many rows from `first` on as adapters are given, which it takes. They are valid until the next call.
   * @throws RangeError when a rank does not fit
   */
  feeds(first: number, adapters: readonly InRow[]): Feeds {
    const rank = rowRank(Math.max(0, ...adapters.map((adapter) => adapter?.rank ?? 0)));
    this.#tooLarge = rank < this.#rank ? this.#tooLarge + 1 : 0;
    if (rank > this.#rank || this.#tooLarge >= patience) this.#layOut(rank);
    for (const [index, adapter] of adapters.entries()) {
      const row = first + index;
      if (adapter === undefined || this.#content[row] === adapter) continue;
      this.#copy(row, adapter);
      this.#content[row] = adapter;
    }
    return this.#feedsOf(first, adapters.length);
  }

  /** Not during a step. */
  release(): void {
    this.#releaseFeeds();
    if (this.#address !== undefined) unreserve(this.#address, this.#options.budgetBytes);
    this.#address = undefined;
  }

  #fits(rank: number): boolean {
    const rows = rowRank(rank);
    const bytes = this.#bytes.get(rows) ?? this.#placesFor(rows).bytes;
    this.#bytes.set(rows, bytes);
    return bytes <= this.#options.budgetBytes;
  }

  #placesFor(rank: number): { readonly places: readonly Place[]; readonly bytes: number } {
    let end = 0;
    const places = this.#halves.map((half): Place => {
      const at = end;
      const bytes = this.#options.rows * rank * half.features * floatBytes;
      end = Math.ceil((at + bytes) / alignment) * alignment;
      return { ...half, at };
    });
    return { places, bytes: end };
  }

  #layOut(rank: number): void {
    const { places, bytes } = this.#placesFor(rank);
    const { budgetBytes } = this.#options;
    if (bytes > budgetBytes)
      throw new RangeError(`rows of rank ${rank} take ${bytes} of ${budgetBytes} bytes`);
    this.#releaseFeeds();
    this.#address ??= reserve(budgetBytes);
    this.#rank = rank;
    this.#tooLarge = 0;
    this.#places = places;
    this.#content.fill(undefined);
  }

  #copy(row: number, adapter: NonNullable<InRow> | null): void {
    const start = this.#address ?? 0n;
    for (const { half, module, features, at } of this.#places) {
      const bytes = this.#rank * features * floatBytes;
      const to = start + BigInt(at + row * bytes);
      const pair = adapter?.pairAt(module);
      const used = pair === undefined ? 0 : pair.rank * features * floatBytes;
      if (pair !== undefined) copy(to, half === 'A' ? pair.a : pair.b, used);
      if (used < bytes) zero(to + BigInt(used), bytes - used);
    }
  }

  #feedsOf(first: number, count: number): Feeds {
    const key = first * (this.#options.rows + 1) + count;
    const known = this.#feeds.get(key);
    if (known !== undefined) return known;
    if (this.#feeds.size >= maxSpans) this.#releaseFeeds();
    const start = this.#address ?? 0n;
    const tensors: LoraTensors = new Map(
      this.#places.map(({ half, module, features, at }) => {
        const address = start + BigInt(at + first * this.#rank * features * floatBytes);
        return [inputOf(module, half), new OrtTensor('float32', [count, this.#rank, features], address)];
      }),
    );
    const feeds = this.#graph.feeds(tensors);
    this.#feeds.set(key, feeds);
    return feeds;
  }

  #releaseFeeds(): void {
    for (const feeds of this.#feeds.values()) feeds.release();
    this.#feeds.clear();
  }
}
