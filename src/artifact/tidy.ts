import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import type { Caution } from './caution.ts';
import { hexOf } from './digest.ts';
import type { DiskBudget } from './disk-budget.ts';
import { filesFolder, namesIn, ownBytes, partialSuffix, type StorePaths, sizeOf } from './store-files.ts';
import { leftLocks } from './store-lock.ts';
import type { Scan } from './store-scan.ts';
import { leftInTmp, type Unfinished } from './unfinished.ts';

/** Drops what was on its way and cannot be gone on with, and what an owner that was killed left of its lock; false: not all of it. */
export const dropLeft = (paths: StorePaths, caution: Caution, keepsUnfinished: boolean): Promise<boolean> => {
  const { files, root } = paths;
  return caution.run('what was on its way', async () => {
    for (const path of await leftInTmp(paths, keepsUnfinished)) await files.remove('tidy.drop-tmp', path);
    for (const path of await leftLocks(root, files)) await files.remove('lock.remove-left', path);
  });
};

/**
 * Takes out what the scan found damaged, and what nobody needs. Resolves with the scan, of which the
 * orphans are those that are left.
 */
export const clean = async (
  paths: StorePaths,
  scan: Scan,
  caution: Caution,
  keepsUnfinished: boolean,
): Promise<Scan> => {
  const { files } = paths;
  if (scan.damagedAdapters.length > 0)
    await caution.run('damaged artifacts', async () => {
      for (const { digest } of scan.damagedAdapters)
        await files.remove('tidy.remove-damaged', paths.adapter(digest));
    });
  const left = new Set(scan.orphans);
  if (left.size > 0 && !keepsUnfinished)
    await caution.run('blobs that nobody needs', async () => {
      for (const digest of scan.orphans) {
        await files.remove('tidy.remove-orphan', paths.blob(digest));
        left.delete(digest);
      }
    });
  return { ...scan, orphans: [...left] };
};

/** Bytes of what lies in `tmp` and is no part of a blob. */
const strayBytes = async ({ files, tmp }: StorePaths): Promise<number> => {
  let bytes = 0;
  for (const entry of await files.entries('scan.list-stray', tmp, { recursive: true })) {
    if (!entry.isFile() || entry.name.endsWith(partialSuffix)) continue;
    const { nlink, size } = await files.stat('scan.stat-stray', join(entry.parentPath, entry.name));
    if (nlink === 1) bytes += size;
  }
  return bytes;
};

export type Counted = {
  readonly budget: DiskBudget;
  readonly paths: StorePaths;
  /** Nothing else is left of what was on its way. */
  readonly isClear: boolean;
};

/** Of damaged artifacts that are still there. */
const leftBytesOf = async (paths: StorePaths, scan: Scan): Promise<ReadonlyMap<Digest, number>> => {
  const left = new Map<Digest, number>();
  const there = await namesIn(paths.files, 'scan.list-adapters', paths.adapters);
  for (const { digest } of scan.damagedAdapters) {
    if (!there.includes(hexOf(digest))) continue;
    const inside = await namesIn(paths.files, 'scan.list-folder', paths.adapter(digest));
    const files = join(paths.adapter(digest), filesFolder);
    left.set(digest, inside.includes(filesFolder) ? await ownBytes(paths.files, files) : 0);
  }
  return left;
};

/** Counts what is on the disk. Resolves with what is left of damaged artifacts, by digest. */
export const count = async (
  { budget, paths, isClear }: Counted,
  scan: Scan,
  unfinished: Unfinished,
): Promise<ReadonlyMap<Digest, number>> => {
  const { files, quarantine } = paths;
  for (const sizes of [scan.blobs, scan.damagedBlobs, unfinished.blobs, unfinished.partials])
    for (const size of sizes.values()) budget.count(size);
  for (const { extraBytes } of scan.adapters.values()) budget.count(extraBytes);
  for (const name of await namesIn(files, 'quarantine.list', quarantine))
    budget.count((await sizeOf(files, 'quarantine.stat', join(quarantine, name))) ?? 0);
  if (!isClear) budget.count(await strayBytes(paths));
  const left = scan.damagedAdapters.length > 0 ? await leftBytesOf(paths, scan) : new Map();
  for (const bytes of left.values()) budget.count(bytes);
  return left;
};
