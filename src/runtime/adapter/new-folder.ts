import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';

/** @throws CONVERT_TARGET_EXISTS */
export const refuseExisting = async (folder: string): Promise<void> => {
  try {
    await stat(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  throw new AdaptletError('CONVERT_TARGET_EXISTS', `${folder} exists`);
};

/**
 * Makes a folder of these files: complete or absent under its name, whose parent must be there.
 * @throws CONVERT_TARGET_EXISTS; file system errors as they are
 */
export const writeFolder = async (
  folder: string,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> => {
  const making = `${folder}.${randomUUID().slice(0, 8)}.tmp`;
  await mkdir(making);
  try {
    for (const [name, content] of files) await writeFile(join(making, name), content);
    await refuseExisting(folder);
    await rename(making, folder);
  } catch (failure) {
    await rm(making, { recursive: true, force: true });
    throw failure;
  }
};
