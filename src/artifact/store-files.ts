import { dirname, join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { nodeFiles } from '../disk/files.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf, isDiskFull } from '../errors/errno.ts';
import { hexOf } from './digest.ts';
import type { StoreDisk, StorePoint } from './store-points.ts';

/** Where things lie below the root of a store, and the disk that they are on. */
export type StorePaths = {
  readonly files: StoreDisk;
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

export const storePaths = (root: string, files: StoreDisk = nodeFiles): StorePaths => {
  const blobs = join(root, 'blobs', 'sha256');
  const adapters = join(root, 'adapters');
  const tmp = join(root, 'tmp');
  return {
    files,
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
export const namesIn = async (
  files: StoreDisk,
  at: StorePoint,
  folder: string,
): Promise<readonly string[]> => {
  try {
    return await files.names(at, folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
};

/** Size of a file, or undefined when it is not there. */
export const sizeOf = async (files: StoreDisk, at: StorePoint, path: string): Promise<number | undefined> => {
  try {
    return (await files.stat(at, path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
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
export const linkOrCopy = async (
  files: StoreDisk,
  blob: string,
  path: string,
  bytes: number,
): Promise<number> => {
  await files.mkdir('adapter.mkdir-file', dirname(path));
  try {
    await files.link('adapter.link', blob, path);
    return 0;
  } catch (error) {
    if (!cannotLink.has(errnoOf(error))) throw error;
  }
  await files.copy('adapter.copy', blob, path);
  await files.sync('adapter.fsync-copy', path);
  return bytes;
};

/** Bytes of files below a folder that are no second names of blobs. */
export const ownBytes = async (files: StoreDisk, folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of await files.entries('scan.list-files', folder, { recursive: true })) {
    if (!entry.isFile()) continue;
    const { nlink, size } = await files.stat('scan.stat-own', join(entry.parentPath, entry.name));
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

/** Something of an artifact that is not as it was. */
export const damagedHere = (what: string, digest: Digest): AdaptletError =>
  new AdaptletError('ARTIFACT_CORRUPT', `${what} of ${digest} is damaged on this disk`, {
    advice: 'It is fetched again by itself; check the disk when this repeats.',
  });
