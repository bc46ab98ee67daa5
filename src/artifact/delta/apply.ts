import { createHash } from 'node:crypto';
import { constants, zstdDecompressSync } from 'node:zlib';
import { openToRead, openToWrite, type ReadFile } from './files.ts';
import {
  blockBytes,
  blocksOf,
  type DeltaHeader,
  type FileIdentity,
  headerLength,
  invalidDelta,
  maxPackedBytes,
  preludeBytes,
  readHeader,
  windowLog,
} from './format.ts';
import { joinXor } from './planes.ts';

/** Paths, and what the files must be. */
export type ApplyInput = {
  readonly delta: string;
  readonly base: string;
  /** Written anew. What is there after an error is of no use. */
  readonly target: string;
  readonly from: FileIdentity;
  readonly to: FileIdentity;
};

const unpack = (packed: Uint8Array, bytes: number): Buffer => {
  let block: Buffer;
  try {
    block = zstdDecompressSync(packed, {
      maxOutputLength: bytes,
      chunkSize: Math.max(64, bytes),
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
    });
  } catch (error) {
    throw invalidDelta('a block of a delta does not unpack to what it should', error);
  }
  if (block.length !== bytes)
    throw invalidDelta(`a block of a delta has ${block.length} bytes, not ${bytes}`);
  return block;
};

const openDelta = (
  file: ReadFile,
  input: ApplyInput,
): { readonly header: DeltaHeader; readonly end: number } => {
  if (file.size < preludeBytes) throw invalidDelta(`a delta of ${file.size} bytes is none`);
  const prelude = Buffer.alloc(preludeBytes);
  file.read(prelude, 0);
  const length = headerLength(prelude);
  if (preludeBytes + length > file.size) throw invalidDelta('a delta ends within its header');
  const text = Buffer.alloc(length);
  file.read(text, preludeBytes);
  return { header: readHeader(text, input), end: preludeBytes + length };
};

/**
 * Makes a file out of another and a delta: byte-identical, or an error. Blocks the thread.
 *
 * Guarantees: all sizes are known and checked before anything is written; the work is bounded by the sizes of the delta, of
 * `from` and of `to`, whatever the delta says. Some blocks are in memory at a time, besides garbage that does not grow with the files (README).
 * @throws AdaptletError DELTA_INVALID; and errors of the file system
 */
export const applyDelta = (input: ApplyInput): void => {
  const { from, to } = input;
  using delta = openToRead(input.delta);
  const { header, end } = openDelta(delta, input);
  using base = openToRead(input.base);
  if (base.size !== from.size) throw invalidDelta(`the base has ${base.size} bytes, not ${from.size}`);
  using target = openToWrite(input.target);
  const hash = createHash('sha256');
  const lengthBytes = Buffer.alloc(4);
  const packedSpace = Buffer.alloc(maxPackedBytes(blockBytes));
  const baseSpace = Buffer.alloc(blockBytes);
  let position = end;
  const next = (bytes: number): Buffer => {
    delta.read(lengthBytes, position);
    const length = lengthBytes.readUInt32LE();
    if (length > maxPackedBytes(bytes))
      throw invalidDelta(`a block of ${bytes} bytes says that it takes ${length}`);
    const packed = packedSpace.subarray(0, length);
    delta.read(packed, position + 4);
    position += 4 + length;
    return unpack(packed, bytes);
  };
  for (const segment of header.segments) {
    for (const { at, bytes } of blocksOf(segment)) {
      let block = next(bytes);
      if (segment.from !== undefined) {
        const planes = block;
        block = baseSpace.subarray(0, bytes);
        base.read(block, segment.from + at);
        joinXor(planes, block, segment.width);
      }
      hash.update(block);
      target.write(block);
    }
  }
  if (position !== delta.size) throw invalidDelta(`a delta has ${delta.size - position} bytes after its end`);
  const made = `sha256:${hash.digest('hex')}`;
  if (made !== to.digest) throw invalidDelta(`a delta made ${made}, not ${to.digest}`);
};
