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

/** Room for copies: in each of the first `rows` rows a pair of this rank at each of these modules. */
type Room = { readonly rank: number; readonly rows: number; readonly modules: ReadonlySet<string> };

const noRoom: Room = { rank: 0, rows: 0, modules: new Set() };

/** A row of a step, and what stands there. */
export type RowOf<A extends InRow = InRow> = { readonly row: number; readonly adapter: A };

const roomFor = (rows: readonly RowOf[]): Room => ({
  rank: rowRank(Math.max(0, ...rows.map(({ adapter }) => adapter?.rank ?? 0))),
  rows: 1 + Math.max(-1, ...rows.map(({ row }) => row)),
  modules: new Set(rows.flatMap(({ adapter }) => adapter?.modules ?? [])),
});

/** Where the next half can begin. */
const endOf = ({ features }: Half, at: number, { rank, rows }: Room): number =>
  Math.ceil((at + rows * rank * features * floatBytes) / alignment) * alignment;

const covers = (room: Room, need: Room): boolean =>
  room.rank >= need.rank &&
  room.rows >= need.rows &&
  [...need.modules].every((module) => room.modules.has(module));

/** Without the last row, and without the adapter that takes most. */
const withoutOne = <A extends InRow>(rows: readonly RowOf<A>[]): readonly (readonly RowOf<A>[])[] => {
  const last = Math.max(...rows.map(({ row }) => row));
  const size = ({ adapter }: RowOf<A>): number =>
    rowRank(adapter?.rank ?? 0) * (adapter?.modules.length ?? 0);
  const [largest] = rows.toSorted((one, other) => size(other) - size(one));
  return [rows.filter(({ row }) => row !== last), rows.filter(({ adapter }) => adapter !== largest?.adapter)];
};

/**
 * Copies of adapters, row by row, as a decode step of rows with different adapters reads them: one tensor per half and
 * site that one of them targets, [rows, rank, features]. A copy stays in its row until another adapter comes there, so a request that joins costs
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
  /** Of all rows with all sites, by their rank. */
  readonly #bytes = new Map<number, number>();
  #address: bigint | undefined;
  #room = noRoom;
  /** Calls in a row that a smaller rank, or fewer sites, would have done for. */
  #tooLarge = 0;
  #chosen: { readonly of: readonly RowOf[]; readonly rows: ReadonlySet<number> } | undefined;
  #needed: { readonly first: number; readonly adapters: readonly InRow[]; readonly room: Room } | undefined;
  #places: readonly Place[] = [];
  readonly #feeds = new Map<number, Feeds>();

  constructor(graph: FeedMaker, options: AdapterRowsOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#halves = halvesOf(options.sites);
    this.#modules = new Set(options.sites.map(({ module }) => module));
    this.#content = Array.from({ length: options.rows }, () => undefined);
  }

  /** True when an adapter, or the base model, can stand beside any others of its rank in all rows. */
  takes(adapter: NonNullable<InRow> | null): boolean {
    if (adapter === null) return this.#fits(0);
    const known = this.#taken.get(adapter);
    if (known !== undefined) return known;
    // Every step asks this of every row, and the answer stays.
    const takes = this.#fits(adapter.rank) && adapter.modules.every((module) => this.#modules.has(module));
    this.#taken.set(adapter, takes);
    return takes;
  }

  /**
   * Of these rows, those that can stand beside each other: as many as have room, the first ones before the last ones and
   * the small before the large.
   */
  choose<A extends NonNullable<InRow> | null>(rows: readonly RowOf<A>[]): ReadonlySet<number> {
    const known = this.#chosen;
    // Most steps are of the rows of the one before.
    const same =
      known?.of.length === rows.length &&
      rows.every(({ row, adapter }, at) => known.of[at]?.row === row && known.of[at].adapter === adapter);
    if (same) return known.rows;
    let left: readonly RowOf<A>[] = rows.filter(
      ({ adapter }) => adapter?.modules.every((module) => this.#modules.has(module)) ?? true,
    );
    while (left.length > 0 && this.bytesFor(left) > this.#options.budgetBytes) {
      const [fewer = [], smaller = []] = withoutOne(left);
      left = this.bytesFor(smaller) < this.bytesFor(fewer) ? smaller : fewer;
    }
    this.#chosen = { of: rows, rows: new Set(left.map(({ row }) => row)) };
    return this.#chosen.rows;
  }

  get budgetBytes(): number {
    return this.#options.budgetBytes;
  }

  /** Bytes of the copies that rows need to stand beside each other. */
  bytesFor(rows: readonly RowOf[]): number {
    return this.#bytesOf(roomFor(rows));
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
    this.#makeRoom(this.#needOf(first, adapters));
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
    const bytes =
      this.#bytes.get(rows) ??
      this.#bytesOf({ rank: rows, rows: this.#options.rows, modules: this.#modules });
    this.#bytes.set(rows, bytes);
    return bytes <= this.#options.budgetBytes;
  }

  /** Every step asks this, mostly of what the one before had. */
  #needOf(first: number, adapters: readonly InRow[]): Room {
    const known = this.#needed;
    const same =
      known?.first === first &&
      known.adapters.length === adapters.length &&
      adapters.every((adapter, at) => known.adapters[at] === adapter);
    if (same) return known.room;
    const rows = adapters.map((adapter, index) => ({ row: first + index, adapter }));
    this.#needed = { first, adapters, room: roomFor(rows) };
    return this.#needed.room;
  }

  #bytesOf(room: Room): number {
    let end = 0;
    for (const half of this.#halves) if (room.modules.has(half.module)) end = endOf(half, end, room);
    return end;
  }

  /** @throws RangeError when there cannot be so much */
  #makeRoom(need: Room): void {
    const isEnough = covers(this.#room, need);
    const { rank, modules } = this.#room;
    const isTooLarge = isEnough && (need.rank < rank || need.modules.size < modules.size);
    this.#tooLarge = isTooLarge ? this.#tooLarge + 1 : 0;
    if (isEnough && this.#tooLarge < patience) return;
    const { rows, budgetBytes } = this.#options;
    const both = { rank: Math.max(rank, need.rank), rows, modules: new Set([...modules, ...need.modules]) };
    if (!isEnough && this.#bytesOf(both) <= budgetBytes) {
      this.#layOut(both);
      return;
    }
    let most = rows;
    while (most > need.rows && this.#bytesOf({ ...need, rows: most }) > budgetBytes) most -= 1;
    this.#layOut({ ...need, rows: most });
  }

  #layOut(room: Room): void {
    const { budgetBytes } = this.#options;
    const bytes = this.#bytesOf(room);
    if (bytes > budgetBytes)
      throw new RangeError(`rows of rank ${room.rank} take ${bytes} of ${budgetBytes} bytes`);
    this.#releaseFeeds();
    this.#address ??= reserve(budgetBytes);
    this.#room = room;
    this.#tooLarge = 0;
    let end = 0;
    this.#places = this.#halves
      .filter(({ module }) => room.modules.has(module))
      .map((half): Place => {
        const at = end;
        end = endOf(half, at, room);
        return { ...half, at };
      });
    this.#content.fill(undefined);
  }

  #copy(row: number, adapter: NonNullable<InRow> | null): void {
    const start = this.#address ?? 0n;
    for (const { half, module, features, at } of this.#places) {
      const bytes = this.#room.rank * features * floatBytes;
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
        const address = start + BigInt(at + first * this.#room.rank * features * floatBytes);
        return [inputOf(module, half), new OrtTensor('float32', [count, this.#room.rank, features], address)];
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
