import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

/** Work of the disk thread. Runs beside the serving thread, so it may block. */

const chunkBytes = 1024 * 1024;

export type HashResult = { readonly hex: string; readonly size: number };

/** sha256 and size of a file. */
export const hashFile = (path: string): HashResult => {
  const file = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const chunk = Buffer.allocUnsafe(chunkBytes);
    let size = 0;
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) {
      hash.update(chunk.subarray(0, read));
      size += read;
    }
    return { hex: hash.digest('hex'), size };
  } finally {
    closeSync(file);
  }
};
