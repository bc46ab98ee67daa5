import { constants } from 'node:fs';
import { copyFile, realpath, writeFile } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { Digest } from '../api/names.ts';
import { removeAll } from '../disk/durable.ts';
import { nodeFiles } from '../disk/files.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { Packed } from './pack.ts';
import { linkOrCopy } from './store-files.ts';

const realOf = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
};

export const isBelow = (path: string, root: string): boolean =>
  path.startsWith(root.endsWith(sep) ? root : root + sep);

/**
 * The real folder of a path source, and the import root that it was found below: `path` is taken relative to each, and must
 * be below it once all links are followed.
 * @throws AdaptletError SOURCE_NOT_ALLOWED, ARTIFACT_NOT_FOUND
 */
export const resolveImport = async (
  path: string,
  importRoots: readonly string[],
): Promise<{ readonly folder: string; readonly root: string }> => {
  if (importRoots.length === 0) {
    throw new AdaptletError(
      'SOURCE_NOT_ALLOWED',
      `path ${quoteUntrusted(path)}: the runtime has no import root`,
    );
  }
  let outside = false;
  for (const importRoot of importRoots) {
    const root = await realOf(importRoot);
    const folder = root === undefined ? undefined : await realOf(resolve(root, path));
    if (root === undefined || folder === undefined) continue;
    if (isBelow(folder, root)) return { folder, root: importRoot };
    outside = true;
  }
  const where = `path ${quoteUntrusted(path)} below ${importRoots.join(', ')}`;
  if (outside) throw new AdaptletError('SOURCE_NOT_ALLOWED', `${where} leads out of it`);
  throw new AdaptletError('ARTIFACT_NOT_FOUND', `${where} does not exist`, {
    advice: 'Check spec.source.path, and that the folder is on this node.',
  });
};

/** Copies the blobs of a packed folder. The store hashes the copies, so a file that changed meanwhile is found out. */
export const copyPacked =
  (packed: Packed): WriteBlob =>
  async (blob, path) => {
    const content = packed.blobs.get(blob.digest);
    if (content === undefined)
      throw new AdaptletError('INTERNAL', `blob ${blob.digest} is not in the packed folder`);
    if ('bytes' in content) await writeFile(path, content.bytes);
    else await copyFile(content.path, path, constants.COPYFILE_FICLONE);
  };

/** Takes over the blobs of a packed folder that is this node's own and on the file system of the store. */
export const takePacked =
  (packed: Packed): WriteBlob =>
  async (blob, path) => {
    const content = packed.blobs.get(blob.digest);
    if (content === undefined)
      throw new AdaptletError('INTERNAL', `blob ${blob.digest} is not in the packed folder`);
    await removeAll(path);
    if ('bytes' in content) await writeFile(path, content.bytes);
    else await linkOrCopy(nodeFiles, content.path, path, content.size);
  };

/** Blobs of a folder that change while they are copied are no damage, but a new version. */
export const asChanged = (error: unknown, folder: string): unknown =>
  error instanceof AdaptletError && error.code === 'ARTIFACT_CORRUPT'
    ? new AdaptletError('ARTIFACT_CHANGED', `the files of ${folder} changed while they were copied`, {
        cause: error,
      })
    : error;

/** @throws AdaptletError DIGEST_MISMATCH */
export const checkDigest = (found: Digest, expected: Digest | undefined, where: string): void => {
  if (expected === undefined || found === expected) return;
  throw new AdaptletError('DIGEST_MISMATCH', `${where} has ${found}, pinned is ${expected}`);
};
