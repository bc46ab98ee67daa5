import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf, isDiskFull } from '../errors/errno.ts';
import { hexOf } from './digest.ts';

/** Where things lie below the root of a store. */
export type StorePaths = {
  readonly root: string;
  readonly blobs: string;
  readonly adapters: string;
  readonly quarantine: string;
  readonly tmp: string;
  readonly blob: (digest: Digest) => string;
  /** Folder of a stored artifact: `manifest.json` and `files/`. It is there complete or not at all. */
  readonly adapter: (digest: Digest) => string;
  /** What has arrived so far of a blob. */
  readonly partial: (digest: Digest) => string;
  /** One that comes from another source at the same time. */
  readonly copy: (digest: Digest, number: number) => string;
  /** One that is needed for a moment. */
  readonly scratch: (number: number) => string;
};

/** Of the files in `tmp` that a transfer goes on with. */
export const partialSuffix = '.part';

export const storePaths = (root: string): StorePaths => {
  const blobs = join(root, 'blobs', 'sha256');
  const adapters = join(root, 'adapters');
  const tmp = join(root, 'tmp');
  return {
    root,
    blobs,
    adapters,
    quarantine: join(root, 'quarantine'),
    tmp,
    blob: (digest) => join(blobs, hexOf(digest).slice(0, 2), hexOf(digest)),
    adapter: (digest) => join(adapters, hexOf(digest)),
    partial: (digest) => join(tmp, `${hexOf(digest)}${partialSuffix}`),
    copy: (digest, number) => join(tmp, `${hexOf(digest)}.${number}.copy`),
    scratch: (number) => join(tmp, `${number}.scratch`),
  };
};

export const manifestFile = 'manifest.json';
export const filesFolder = 'files';

/** Names of a folder's entries; none when it is not there. */
export const namesIn = async (folder: string): Promise<readonly string[]> => {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
};

/** Size of a file, or undefined when it is not there. */
export const sizeOf = async (path: string): Promise<number | undefined> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

export const syncFile = async (path: string): Promise<void> => {
  await using file = await open(path, 'r');
  await file.sync();
};

/** File systems that have no hard links, or none across here. */
const cannotLink: ReadonlySet<string | undefined> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EXDEV',
  'EMLINK',
]);

/** Gives a blob a second name, as a hard link where the file system has them. Resolves with the bytes that it took. */
export const linkOrCopy = async (blob: string, path: string, bytes: number): Promise<number> => {
  await mkdir(dirname(path), { recursive: true });
  try {
    await link(blob, path);
    return 0;
  } catch (error) {
    if (!cannotLink.has(errnoOf(error))) throw error;
  }
  await copyFile(blob, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await syncFile(path);
  return bytes;
};

/** Bytes of files below a folder that are no second names of blobs. */
export const ownBytes = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const { nlink, size } = await stat(join(entry.parentPath, entry.name));
    if (nlink === 1) bytes += size;
  }
  return bytes;
};

/** A disk that is full, read-only or broken as an error of the catalogue; anything else as it is. */
export const asStoreError = (error: unknown, what: string): unknown => {
  if (isDiskFull(error))
    return new AdaptletError('STORE_FULL', `${what}: the disk is full`, { cause: error });
  const errno = errnoOf(error);
  if (errno !== 'EROFS' && errno !== 'EIO') return error;
  return new AdaptletError('STORE_UNUSABLE', `${what}: ${errno}`, { cause: error });
};

export const removeAll = (path: string): Promise<void> => rm(path, { recursive: true, force: true });
