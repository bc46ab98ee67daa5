import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledTensor } from '../../adapter/compiled-file.ts';
import { inputOf } from '../onnx/inject.ts';
import { OrtTensor } from '../ort/tensor.ts';
import type { Feeds, LoraTensors } from '../session/feeds.ts';
import type { Arena, Block } from './arena.ts';

/** What makes feeds: a graph with LoRA inputs. */
export type FeedMaker = { readonly feeds: (lora: LoraTensors) => Feeds };

/** An adapter in memory: its bytes in the arena, and the feeds made of them for the graph that it runs on. */
export class LoadedAdapter<G extends FeedMaker = FeedMaker> {
  readonly name: string;
  readonly graph: G;
  readonly #arena: Arena;
  readonly #block: Block;
  readonly #tensors: readonly CompiledTensor[];
  /** File offset of the first byte of the block. */
  readonly #start: number;
  #feeds: Feeds | undefined;
  #users = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  /** Takes room in the arena. Errors: ADAPTER_MEMORY_FULL. Between steps only. */
  constructor(
    name: string,
    tensors: readonly CompiledTensor[],
    parts: { readonly arena: Arena; readonly graph: G },
  ) {
    this.name = name;
    this.#arena = parts.arena;
    this.graph = parts.graph;
    this.#tensors = tensors;
    this.#start = Math.min(...tensors.map((tensor) => tensor.offset));
    const end = Math.max(...tensors.map((tensor) => tensor.offset + tensor.length));
    this.#block = parts.arena.allocate(end - this.#start, () => {
      // The tensors pointed to where the bytes were.
      if (this.#feeds === undefined) return;
      this.#feeds.release();
      this.#feeds = this.#buildFeeds();
    });
  }

  get bytes(): number {
    return this.#block.bytes;
  }

  /** File offset that the block begins with. */
  get start(): number {
    return this.#start;
  }

  /** The memory to read the file into. Valid until the next change of the arena. */
  bytesView(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#arena.buffer, this.#block.offset, this.#block.bytes);
  }

  /** The bytes are there and right: from now on it can run. */
  complete(): void {
    this.#feeds = this.#buildFeeds();
  }

  get feeds(): Feeds {
    if (this.#feeds !== undefined) return this.#feeds;
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
    this.#arena.free(this.#block);
  }

  #buildFeeds(): Feeds {
    const lora = new Map<string, OrtTensor>();
    for (const { module, half, shape, offset } of this.#tensors) {
      const address = this.#arena.address + BigInt(this.#block.offset + offset - this.#start);
      lora.set(inputOf(module, half), new OrtTensor('float32', shape, address));
    }
    return this.graph.feeds(lora);
  }
}
