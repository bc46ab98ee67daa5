import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes the entries of a folder survive a power cut. */
export const syncFolder = async (folder: string): Promise<void> => {
  await using handle = await open(folder, 'r');
  await handle.sync();
};

/**
 * Replaces a file so that a reader, also one after a power cut, sees the old or the new content and nothing between:
 * temporary file beside it, fsync, rename, fsync of the folder. On an error the old content stays.
 */
export const writeDurable = async (path: string, data: string | Uint8Array): Promise<void> => {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    {
      await using handle = await open(temporary, 'wx', 0o600);
      await handle.writeFile(data);
      await handle.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
};
