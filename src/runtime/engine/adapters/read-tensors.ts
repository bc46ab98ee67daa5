import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CompiledTensor } from '../../adapter/compiled-file.ts';

/** Bytes per read, and reads under way at the same time: what is there is checked while the next comes. */
const chunkBytes = 2 << 20;
const depth = 3;

/** Where the tensors of a file go: `bytes` takes what the file has from `start` on. */
export type Target = { readonly bytes: Uint8Array<ArrayBuffer>; readonly start: number };

const readChunk = async (handle: FileHandle, file: string, target: Target, from: number): Promise<number> => {
  const end = Math.min(from + chunkBytes, target.bytes.length);
  for (let at = from; at < end; ) {
    const { bytesRead } = await handle.read(target.bytes, at, end - at, target.start + at);
    if (bytesRead === 0) throw new AdaptletError('COMPILED_FILE_CORRUPT', `${file} ends early`);
    at += bytesRead;
  }
  return end;
};

const checkTensor = (file: string, tensor: CompiledTensor, { bytes, start }: Target): void => {
  const from = tensor.offset - start;
  if (crc32(bytes.subarray(from, from + tensor.length)) === tensor.crc32) return;
  throw new AdaptletError(
    'COMPILED_FILE_CORRUPT',
    `${file}: the bytes of ${tensor.module} ${tensor.half} do not match their checksum`,
  );
};

/**
 * Reads the tensors of a compiled file and compares each with its checksum, as soon as it is whole. Steps can run
 * meanwhile. When it returns or throws, nothing writes to the target any more.
 *
 * Errors: COMPILED_FILE_CORRUPT, and those of the file system.
 */
export const readTensors = async (
  file: string,
  tensors: readonly CompiledTensor[],
  target: Target,
): Promise<void> => {
  await using handle = await open(file, 'r');
  const reads: Promise<number>[] = [];
  const startReads = (count: number): void => {
    while (reads.length < count && reads.length * chunkBytes < target.bytes.length) {
      const read = readChunk(handle, file, target, reads.length * chunkBytes);
      // It may fail before its turn comes; whoever awaits it still hears of it.
      read.catch(() => undefined);
      reads.push(read);
    }
  };
  try {
    let done = 0;
    let next = 0;
    for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
      for (const end = tensor.offset + tensor.length - target.start; done < end; next += 1) {
        startReads(next + depth);
        done = (await reads[next]) ?? target.bytes.length;
      }
      checkTensor(file, tensor, target);
    }
  } finally {
    await Promise.allSettled(reads);
  }
};
