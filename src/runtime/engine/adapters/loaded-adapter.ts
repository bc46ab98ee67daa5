import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledPart } from '../../compiled/compiled-file.ts';
import type { MemoryLayout, Place } from '../../compiled/memory-layout.ts';
import type { Arena, Block } from './arena.ts';
import type { FeedMaker, Feeds } from './feeds.ts';
import type { HalfAt, PairAt } from './pairs.ts';

/** An adapter in memory: its bytes in the arena, and the feeds made of them for the graph that it runs on. */
export class LoadedAdapter<G extends FeedMaker = FeedMaker> {
  readonly name: string;
  /** Of the artifact: a name can be given to other weights. */
  readonly digest: Digest;
  readonly graph: G;
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
    const start = this.#arena.address + BigInt(this.#block.offset);
    const widened = this.#layout.weights === 'float32';
    const half = ({ tensor, at }: Place): HalfAt => ({
      address: start + BigInt(at),
      type: widened ? 'float32' : tensor.dtype,
      scale: widened ? 1 : tensor.scale,
    });
    const halves = Map.groupBy(this.#layout.places, ({ tensor }) => tensor.module);
    const pairs = new Map<string, PairAt>();
    for (const [module, places] of halves) {
      const a = places.find(({ tensor }) => tensor.half === 'A');
      const b = places.find(({ tensor }) => tensor.half === 'B');
      if (a === undefined || b === undefined) throw new AdaptletError('INTERNAL', `${module} lacks a half`);
      const addressOf = (part: CompiledPart): bigint | undefined => {
        const place = places.find(({ tensor }) => tensor.half === part);
        return place === undefined ? undefined : half(place).address;
      };
      const [factors, shifts] = [addressOf('factors'), addressOf('shifts')];
      pairs.set(module, {
        rank: a.tensor.shape[0],
        a: half(a),
        b: half(b),
        ...(factors === undefined ? {} : { factors }),
        ...(shifts === undefined ? {} : { shifts }),
      });
    }
    return this.graph.feeds(pairs);
  }
}
