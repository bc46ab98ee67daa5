import { join } from 'node:path';
import { type Digest, isDigest } from '../api/names.ts';
import { namesIn, partialSuffix, removeAll, type StorePaths, sizeOf } from './store-files.ts';
import type { Scan } from './store-scan.ts';

/** What the last owner of a store could not finish, with the bytes that it had: whole blobs, and parts of some. */
export type Unfinished = {
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly partials: ReadonlyMap<Digest, number>;
};

export const nothingUnfinished: Unfinished = { blobs: new Map(), partials: new Map() };

/** Clears away what was on its way, all of it or what cannot be gone on with. */
export const clearTmp = async ({ tmp }: Pick<StorePaths, 'tmp'>, keepsPartials: boolean): Promise<void> => {
  if (!keepsPartials) {
    await removeAll(tmp);
    return;
  }
  for (const name of await namesIn(tmp)) if (!name.endsWith(partialSuffix)) await removeAll(join(tmp, name));
};

/**
 * Blobs were verified before they got their names; a partial file is verified when it is whole, so that it may have
 * holes after a power cut.
 */
export const findUnfinished = async (paths: StorePaths, { orphans }: Scan): Promise<Unfinished> => {
  const blobs = new Map<Digest, number>();
  for (const digest of orphans) blobs.set(digest, (await sizeOf(paths.blob(digest))) ?? 0);
  const partials = new Map<Digest, number>();
  for (const name of await namesIn(paths.tmp)) {
    const digest = `sha256:${name.slice(0, -partialSuffix.length)}`;
    if (isDigest(digest)) partials.set(digest, (await sizeOf(paths.partial(digest))) ?? 0);
  }
  return { blobs, partials };
};
