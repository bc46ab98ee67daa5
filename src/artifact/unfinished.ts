import { join } from 'node:path';
import { type Digest, isDigest } from '../api/names.ts';
import { namesIn, partialSuffix, type StorePaths, sizeOf } from './store-files.ts';
import type { Scan } from './store-scan.ts';

/** What the last owner of a store could not finish, with the bytes that it had: whole blobs, and parts of some. */
export type Unfinished = {
  readonly blobs: ReadonlyMap<Digest, number>;
  readonly partials: ReadonlyMap<Digest, number>;
};

export const nothingUnfinished: Unfinished = { blobs: new Map(), partials: new Map() };

/** What was on its way and cannot be gone on with: paths. All of it, where partial files are not kept. */
export const leftInTmp = async (
  { files, tmp }: StorePaths,
  keepsPartials: boolean,
): Promise<readonly string[]> => {
  const names = await namesIn(files, 'tidy.list-tmp', tmp);
  return names
    .filter((name) => !keepsPartials || !name.endsWith(partialSuffix))
    .map((name) => join(tmp, name));
};

/**
 * Blobs were verified before they got their names; a partial file is verified when it is whole, so that it may have
 * holes after a power cut.
 */
export const findUnfinished = async (paths: StorePaths, { orphans }: Scan): Promise<Unfinished> => {
  const { files } = paths;
  const blobs = new Map<Digest, number>();
  for (const digest of orphans)
    blobs.set(digest, (await sizeOf(files, 'unfinished.stat-blob', paths.blob(digest))) ?? 0);
  const partials = new Map<Digest, number>();
  for (const name of await namesIn(files, 'unfinished.list', paths.tmp)) {
    const digest = `sha256:${name.slice(0, -partialSuffix.length)}`;
    if (isDigest(digest))
      partials.set(digest, (await sizeOf(files, 'unfinished.stat', paths.partial(digest))) ?? 0);
  }
  return { blobs, partials };
};
