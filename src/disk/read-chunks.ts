import { open } from 'node:fs/promises';

const chunkBytes = 1 << 20;

/**
 * The bytes of a file, piece by piece, in one buffer: each piece is valid until the next. A stream would leave as
 * many buffers behind as the file is long.
 */
export const readChunks = async function* (path: string): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(chunkBytes);
  await using file = await open(path, 'r');
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
};
