import { constants, zstdCompressSync } from 'node:zlib';
import { openToRead, openToWrite } from './files.ts';
import { blockBytes, blocksOf, type FileIdentity, windowLog, writeHeader } from './format.ts';
import { splitXor } from './planes.ts';
import { segmentsOf } from './segments.ts';

export type MakeInput = {
  readonly from: FileIdentity & { readonly path: string };
  readonly to: FileIdentity & { readonly path: string };
  /** The delta; written anew. */
  readonly target: string;
};

/** Of zstd. From 16 on it looks for the best parse, which lower ones do not, and higher ones gain nothing more: docs/adr/0071. */
export const compressionLevel = 16;

export const pack = (bytes: Uint8Array): Buffer =>
  zstdCompressSync(bytes, {
    pledgedSrcSize: bytes.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: compressionLevel,
      [constants.ZSTD_c_windowLog]: windowLog,
    },
  });

/**
 * Writes the delta from one safetensors file to another. Any two files make one; those that are no safetensors, or have no
 * tensors alike, a useless one. The same files make the same delta, with one version of zstd. Blocks the thread.
 * @returns bytes of the delta
 */
export const makeDelta = ({ from, to, target }: MakeInput): number => {
  using base = openToRead(from.path);
  using next = openToRead(to.path);
  using delta = openToWrite(target);
  const segments = segmentsOf(base, next);
  let size = 0;
  const write = (bytes: Uint8Array): void => {
    delta.write(bytes);
    size += bytes.length;
  };
  write(
    writeHeader({
      from: { digest: from.digest, size: from.size },
      to: { digest: to.digest, size: to.size },
      segments,
    }),
  );
  const [nextSpace, baseSpace, planeSpace] = [0, 1, 2].map(() => Buffer.alloc(blockBytes)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const length = Buffer.alloc(4);
  let start = 0;
  for (const segment of segments) {
    for (const { at, bytes } of blocksOf(segment)) {
      let block = nextSpace.subarray(0, bytes);
      next.read(block, start + at);
      if (segment.from !== undefined) {
        const before = baseSpace.subarray(0, bytes);
        base.read(before, segment.from + at);
        const planes = planeSpace.subarray(0, bytes);
        splitXor(block, before, segment.width, planes);
        block = planes;
      }
      const packed = pack(block);
      length.writeUInt32LE(packed.length);
      write(length);
      write(packed);
    }
    start += segment.length;
  }
  return size;
};
