import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { MemoryLayout } from '../../compiled/memory-layout.ts';
import { inputOf } from '../onnx/inject.ts';
import { OrtTensor } from '../ort/tensor.ts';
import type { Arena, Block } from './arena.ts';
import type { Feeds, LoraTensors } from './feeds.ts';

/** What makes feeds: a graph with LoRA inputs. */
export type FeedMaker = { readonly feeds: (lora: LoraTensors) => Feeds };

/** Where the halves of a pair are in memory: A [rank, in] and B [rank, out], float32. */
export type PairAt = { readonly rank: number; readonly a: bigint; readonly b: bigint };

/** A pair by its offsets in the block. */
type PairPlace = { readonly rank: number; readonly a: number; readonly b: number };

const pairPlaces = ({ places }: MemoryLayout): ReadonlyMap<string, PairPlace> => {
  const pairs = new Map<string, PairPlace>();
  for (const { tensor, at } of places) {
    const pair = pairs.get(tensor.module) ?? { rank: tensor.shape[0], a: 0, b: 0 };
    pairs.set(tensor.module, tensor.half === 'A' ? { ...pair, a: at } : { ...pair, b: at });
  }
  return pairs;
};

/** An adapter in memory: its bytes in the arena, and the feeds made of them for the graph that it runs on. */
export class LoadedAdapter<G extends FeedMaker = FeedMaker> {
  readonly name: string;
  /** Of the artifact: a name can be given to other weights. */
  readonly digest: Digest;
  readonly graph: G;
  /** The largest of its pairs. */
  readonly rank: number;
  readonly #pairs: ReadonlyMap<string, PairPlace>;
  readonly #arena: Arena;
  readonly #block: Block;
  readonly #layout: MemoryLayout;
  #feeds: Feeds | undefined;
  #whole = false;
  #users = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  /**
   * Takes room in the arena. Between steps only.
   * @throws ADAPTER_MEMORY_FULL
   */
  constructor(
    name: string,
    layout: MemoryLayout,
    parts: { readonly digest: Digest; readonly arena: Arena; readonly graph: G },
  ) {
    this.name = name;
    this.digest = parts.digest;
    this.#arena = parts.arena;
    this.graph = parts.graph;
    this.#layout = layout;
    this.#pairs = pairPlaces(layout);
    this.rank = Math.max(...[...this.#pairs.values()].map(({ rank }) => rank));
    this.#block = parts.arena.allocate(layout.bytes, () => {
      // The tensors pointed to where the bytes were.
      if (this.#feeds === undefined) return;
      this.#feeds.release();
      this.#feeds = this.#buildFeeds();
    });
  }

  get bytes(): number {
    return this.#block.bytes;
  }

  /** The memory to read the file into. Valid until the next change of the arena. */
  bytesView(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#arena.buffer, this.#block.offset, this.#block.bytes);
  }

  /** Builds the feeds, which need only the place: done while the bytes come, it costs a load nothing. */
  prepare(): void {
    this.#feeds ??= this.#buildFeeds();
  }

  /** The bytes are there and right: from now on it can run. */
  complete(): void {
    this.prepare();
    this.#whole = true;
  }

  get feeds(): Feeds {
    if (this.#whole && this.#feeds !== undefined) return this.#feeds;
    throw new AdaptletError('INTERNAL', `Adapter ${this.name} was used before it was read`);
  }

  /** Those that it targets. */
  get modules(): readonly string[] {
    return [...this.#pairs.keys()];
  }

  /** The pair of a module, where it is now; undefined for one that it does not target. Valid until the next change of the arena. */
  pairAt(module: string): PairAt | undefined {
    const pair = this.#pairs.get(module);
    if (pair === undefined) return undefined;
    if (!this.#whole) throw new AdaptletError('INTERNAL', `Adapter ${this.name} was used before it was read`);
    const start = this.#arena.address + BigInt(this.#block.offset);
    return { rank: pair.rank, a: start + BigInt(pair.a), b: start + BigInt(pair.b) };
  }

  /** One more sequence uses it. */
  acquire(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#idle?.resolve();
  }

  /** Resolves once no sequence uses it. */
  async idle(): Promise<void> {
    if (this.#users === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  /** Gives the memory back. Between steps only, and never while in use. */
  free(): void {
    if (this.#users > 0) {
      throw new AdaptletError('INTERNAL', `Adapter ${this.name} is in use by ${this.#users} sequences`);
    }
    this.#feeds?.release();
    this.#feeds = undefined;
    this.#whole = false;
    this.#arena.free(this.#block);
  }

  #buildFeeds(): Feeds {
    const lora = new Map<string, OrtTensor>();
    for (const { tensor, at } of this.#layout.places) {
      const { module, half, shape } = tensor;
      const address = this.#arena.address + BigInt(this.#block.offset + at);
      lora.set(inputOf(module, half), new OrtTensor('float32', shape, address));
    }
    return this.graph.feeds(lora);
  }
}
