import { Piscina } from 'piscina';
import type { Digest } from '../api/names.ts';
import { type Settled, unsettle } from '../errors/across-threads.ts';
import type { ApplyInput } from './delta/apply.ts';
import type { HashResult } from './disk-worker.ts';
import type { ExtractInput } from './extract.ts';

import type { ImageInput } from './extract-image.ts';
import type { StorePoint } from './store-points.ts';
import type { WeightFacts } from './weight-facts.ts';

/** Hashing, unpacking and what deltas make, off the thread that serves. */
export type DiskThread = AsyncDisposable & {
  /** `at`: where in the code, which the real one does not look at. */
  hash(
    path: string,
    signal: AbortSignal,
    at?: StorePoint,
  ): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Of a safetensors file. */
  weights(path: string, signal: AbortSignal): Promise<WeightFacts>;
  /** Resolves with the bytes of the files written. */
  extract(input: ExtractInput, signal: AbortSignal): Promise<number>;
  /** The same of the adapter in an image; undefined where it has none. */
  extractImage(input: ImageInput, signal: AbortSignal): Promise<number | undefined>;
  /**
   * Makes a file out of another and a delta.
   * @throws DELTA_INVALID
   */
  rebuild(input: ApplyInput, signal: AbortSignal): Promise<void>;
  /**
   * Calls `alive` about once a second while work of this signal goes on, or waits for other work that does, until it is
   * disposed of.
   */
  heard(signal: AbortSignal, alive: () => void): Disposable;
};

const idleMs = 10_000;

/**
 * One thread: disks of small nodes gain nothing from more. It ends after being idle. Close it with `await using`.
 * `bytesPerSecond`: no more than that is hashed, by sleeping in between. Default: as fast as it can.
 */
export const startDiskThread = ({
  bytesPerSecond,
}: {
  readonly bytesPerSecond?: number;
} = {}): DiskThread => {
  const pool = new Piscina({
    filename: new URL('./disk-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: idleMs,
  });
  /** Jobs that are under way or wait, and who hears of them. */
  const jobs = new Map<AbortSignal, number>();
  const listeners = new Map<AbortSignal, () => void>();
  // The one message that the thread sends by itself: it goes on.
  pool.on('message', () => {
    for (const signal of jobs.keys()) listeners.get(signal)?.();
  });
  const run = async <T>(name: string, input: unknown, signal: AbortSignal): Promise<T> => {
    signal.throwIfAborted();
    jobs.set(signal, (jobs.get(signal) ?? 0) + 1);
    try {
      const settled: Settled<T> = await pool.run(input, { name, signal });
      return unsettle(settled);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      const left = (jobs.get(signal) ?? 0) - 1;
      if (left > 0) jobs.set(signal, left);
      else jobs.delete(signal);
    }
  };
  return {
    async hash(path, signal) {
      const { hex, size } = await run<HashResult>('hash', { path, bytesPerSecond }, signal);
      return { digest: `sha256:${hex}` as Digest, size };
    },
    weights: (path, signal) => run<WeightFacts>('weights', path, signal),
    extract: (input, signal) => run<number>('unpack', input, signal),
    extractImage: (input, signal) => run<number | undefined>('unpackImage', input, signal),
    rebuild: (input, signal) => run<void>('rebuild', input, signal),
    heard: (signal, alive) => {
      listeners.set(signal, alive);
      return { [Symbol.dispose]: () => void listeners.delete(signal) };
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
