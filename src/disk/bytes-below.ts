import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors/errno.ts';

/** Nothing, where it went meanwhile. */
const unlessGone = async <T>(reading: Promise<T>): Promise<T | undefined> => {
  try {
    return await reading;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** Bytes of the files below a folder; 0 where it is not there. */
export const bytesBelow = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of (await unlessGone(readdir(folder, { withFileTypes: true }))) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await bytesBelow(path);
    else if (entry.isFile()) bytes += (await unlessGone(stat(path)))?.size ?? 0;
  }
  return bytes;
};
