import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { removeAll } from '../disk/durable.ts';
import type { BlobPool } from './blob-pool.ts';
import type { Descriptor } from './manifest.ts';
import type { StorePaths } from './store-files.ts';

/** Blobs that were brought to be packed. */
export type Gathered = AsyncDisposable & {
  /** A place on the same file system for what is made of them. It is not there yet, and goes with them. */
  readonly folder: string;
  readonly path: (digest: Digest) => string;
  /** They are not needed any more: those that no artifact has go when this is disposed. */
  readonly done: () => void;
};

/**
 * Brings blobs of which no manifest is known yet: an archive, or files. Nothing takes them away before the result is disposed. Unless they
 * are `done` by then they are left-overs, which the next one who asks for them finds.
 * @throws AdaptletError STORE_FULL, and what `bring` throws
 */
export const gatherBlobs = async (
  pool: Pick<BlobPool, 'hold' | 'reserve' | 'release'>,
  paths: Pick<StorePaths, 'tmp' | 'blob'>,
  blobs: readonly Descriptor[],
  bring: () => Promise<void>,
): Promise<Gathered> => {
  const hold = pool.hold(blobs);
  try {
    using _reservation = await pool.reserve(blobs, 'what is to be packed');
    await bring();
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
  let isDone = false;
  const folder = join(paths.tmp, `${randomUUID()}.packing`);
  return {
    folder,
    path: (digest) => paths.blob(digest),
    done: () => {
      isDone = true;
    },
    async [Symbol.asyncDispose]() {
      try {
        await removeAll(folder);
      } finally {
        hold[Symbol.dispose]();
      }
      if (isDone) for (const { digest } of blobs) await pool.release(digest);
    },
  };
};
