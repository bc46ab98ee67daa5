import { open } from 'node:fs/promises';

/** Takes all room of a disk into one file, but for the last `leftBytes`. */
export const fillDisk = async (path: string, leftBytes = 0): Promise<void> => {
  await using file = await open(path, 'w');
  const block = new Uint8Array(4096);
  for (let bytes = 0; ; bytes += block.length) {
    try {
      await file.write(block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      await file.truncate(Math.max(0, bytes - leftBytes));
      return;
    }
  }
};
