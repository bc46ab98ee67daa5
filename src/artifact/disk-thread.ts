import { Piscina } from 'piscina';
import type { Digest } from '../api/names.ts';
import { type Settled, unsettle } from '../errors/across-threads.ts';
import type { HashResult } from './disk-worker.ts';
import type { ExtractInput } from './extract.ts';

/** Hashing and unpacking, off the thread that serves. */
export type DiskThread = AsyncDisposable & {
  hash(path: string, signal: AbortSignal): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Resolves with the bytes of the files written. */
  extract(input: ExtractInput, signal: AbortSignal): Promise<number>;
};

const idleMs = 10_000;

/** One thread: disks of small nodes gain nothing from more. It ends after being idle. Close it with `await using`. */
export const startDiskThread = (): DiskThread => {
  const pool = new Piscina({
    filename: new URL('./disk-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: idleMs,
  });
  return {
    async hash(path, signal) {
      const settled: Settled<HashResult> = await pool.run(path, { name: 'hash', signal });
      const { hex, size } = unsettle(settled);
      return { digest: `sha256:${hex}` as Digest, size };
    },
    async extract(input, signal) {
      const settled: Settled<number> = await pool.run(input, { name: 'unpack', signal });
      return unsettle(settled);
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
