import { dirname } from 'node:path';
import type { Digest } from '../api/names.ts';
import { nodeFiles } from '../disk/files.ts';
import { Caution } from './caution.ts';
import { DiskBudget } from './disk-budget.ts';
import type { DiskThread } from './disk-thread.ts';
import { type ArtifactLimits, defaultLimits } from './manifest.ts';
import { type StorePaths, storePaths } from './store-files.ts';
import { lockFolder } from './store-lock.ts';
import type { StoreOptions } from './store-options.ts';
import { type Scan, scanStore } from './store-scan.ts';
import { clean, count, dropLeft } from './tidy.ts';
import { findUnfinished, nothingUnfinished, type Unfinished } from './unfinished.ts';

/** What a store begins with. */
export type Opened = {
  readonly paths: StorePaths;
  readonly disk: DiskThread;
  readonly limits: ArtifactLimits;
  readonly lock: AsyncDisposable;
  readonly caution: Caution;
  readonly budget: DiskBudget;
  readonly scan: Scan;
  readonly unfinished: Unfinished;
  /** Of damaged artifacts that could not be cleared away. */
  readonly leftBytes: ReadonlyMap<Digest, number>;
};

/**
 * Takes the lock, drops what was on its way, and checks what is there by size. `begin` makes the store of it; when that throws the lock is
 * given back.
 * @throws AdaptletError STORE_LOCKED
 */
export const openStore = async <Store>(
  options: StoreOptions,
  begin: (opened: Opened) => Promise<Store>,
): Promise<Store> => {
  const { root, disk, limits = defaultLimits, keepsUnfinished = false, files = nodeFiles } = options;
  const paths = storePaths(root, files);
  await files.mkdir('open.mkdir-root', root);
  const lock = await lockFolder(root, files);
  try {
    const caution = await Caution.open(files, root);
    for (const folder of [paths.blobs, paths.adapters, paths.quarantine, paths.tmp])
      await files.mkdir('open.mkdir', folder);
    // What is written below is worth nothing when a power cut takes the folders that it is in.
    for (const folder of [dirname(paths.blobs), root, dirname(root)]) await files.sync('open.fsync', folder);
    const isClear = await dropLeft(paths, caution, keepsUnfinished);
    const found = await scanStore(paths, limits);
    const scan = await clean(paths, found, caution, keepsUnfinished);
    // What could not be removed is as good as what is kept of transfers that broke off.
    const isLeft = keepsUnfinished || !isClear || scan.orphans.length > 0;
    const unfinished = isLeft ? await findUnfinished(paths, scan) : nothingUnfinished;
    const budget = new DiskBudget(options.budgetBytes, options.within);
    const leftBytes = await count({ budget, paths, isClear }, scan, unfinished);
    return await begin({ paths, disk, limits, lock, caution, budget, scan, unfinished, leftBytes });
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
};
