import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { memoryLayout } from '../../compiled/memory-layout.ts';
import { KnownHeaders, orCorrupt, readCompiledHeader } from '../../compiled/read-header.ts';
import type { Mutex } from '../mutex.ts';
import type { Arena } from './arena.ts';
import { checkHeader, type Expected } from './check-header.ts';
import type { FeedMaker } from './feeds.ts';
import { LoadedAdapter } from './loaded-adapter.ts';
import { readTensors } from './read-tensors.ts';

export type AdapterTableParts<G extends FeedMaker> = {
  readonly arena: Arena;
  /** The graph that adapters run on. */
  readonly graph: G;
  readonly expected: Expected;
  /** Shared with whoever runs steps. */
  readonly steps: Pick<Mutex, 'run'>;
};

/**
 * The adapters in memory, by engine-side name.
 *
 * Guarantees: a name is found from the end of its load to the beginning of its unload; memory is freed only when no
 * sequence uses it, between steps.
 */
export class AdapterTable<G extends FeedMaker = FeedMaker> {
  readonly #parts: AdapterTableParts<G>;
  readonly #adapters = new Map<string, LoadedAdapter<G>>();
  readonly #headers = new KnownHeaders();
  /** One load at a time: blocks must not move while a file is read into one. */
  readonly #loads = { tail: Promise.resolve() as Promise<unknown> };

  constructor(parts: AdapterTableParts<G>) {
    this.#parts = parts;
  }

  /**
   * The adapter of this name.
   * @throws ADAPTER_NOT_AVAILABLE
   */
  get(name: string): LoadedAdapter<G> {
    const adapter = this.#adapters.get(name);
    if (adapter !== undefined) return adapter;
    throw new AdaptletError('ADAPTER_NOT_AVAILABLE', `Adapter ${name} is not loaded in the engine`);
  }

  /**
   * Holds an adapter in memory while the work goes on.
   * @throws ADAPTER_NOT_AVAILABLE
   */
  async use<T>(name: string, work: (adapter: LoadedAdapter<G>) => Promise<T>): Promise<T> {
    const adapter = this.get(name);
    adapter.acquire();
    try {
      return await work(adapter);
    } finally {
      adapter.release();
    }
  }

  /**
   * Reads a compiled file into memory and checks every byte of it. A name that is loaded already stays as it is.
   * @throws COMPILED_FILE_CORRUPT, COMPILED_FILE_STALE, ADAPTER_MEMORY_FULL
   */
  load(name: string, file: string): Promise<LoadedAdapter<G>> {
    const loading = this.#loads.tail.then(async () => {
      const adapter = this.#adapters.get(name) ?? (await this.#read(name, file));
      this.#adapters.set(name, adapter);
      return adapter;
    });
    this.#loads.tail = loading.catch(() => undefined);
    return loading;
  }

  /** Takes the name away at once and frees the memory once the sequences that use it are over. */
  async unload(name: string): Promise<void> {
    const adapter = this.get(name);
    this.#adapters.delete(name);
    await adapter.idle();
    await this.#parts.steps.run(() => {
      adapter.free();
    });
  }

  async #read(name: string, file: string): Promise<LoadedAdapter<G>> {
    const { arena, graph, expected, steps } = this.#parts;
    const header = await orCorrupt(file, readCompiledHeader(file, this.#headers));
    checkHeader(file, header, expected);
    const layout = memoryLayout(header.tensors, graph.weights);
    const { adapterDigest: digest } = header;
    const adapter = await steps.run(() => new LoadedAdapter(name, layout, { digest, arena, graph }));
    try {
      const reading = orCorrupt(file, readTensors(file, layout, adapter.bytesView()));
      try {
        adapter.prepare();
      } finally {
        // Also when that failed: the memory is given back once nothing writes to it.
        await reading;
      }
      adapter.complete();
      return adapter;
    } catch (error) {
      await steps.run(() => {
        adapter.free();
      });
      throw error;
    }
  }
}
