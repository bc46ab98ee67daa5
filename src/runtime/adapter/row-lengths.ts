import { type FileHandle, open } from 'node:fs/promises';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { FilePart, Site, StoredWeights, WeightBlock } from '../compiled/compile-target.ts';

/** Bytes of weights that are in memory at a time. */
const chunkBytes = 4 << 20;

/** The change that an adapter makes to a weight: B·A, with its factor in B. */
export type Change = {
  readonly rank: number;
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
};

/**
 * Bytes of a part from byte `from` on.
 * @throws MODEL_INVALID; those of the file system
 */
export const readPart = async (
  file: FileHandle,
  { path, offset, length }: FilePart,
  from: number,
  bytes: number,
): Promise<ArrayBuffer> => {
  const target = new Uint8Array(bytes);
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(target, done, bytes - done, offset + from + done);
    if (bytesRead === 0 || from + bytes > length)
      throw new AdaptletError('MODEL_INVALID', `${path} is shorter than its graph says`);
    done += bytesRead;
  }
  return target.buffer;
};

/** Reads a part from byte `from` on. */
type Read = (part: FilePart, from: number, bytes: number) => Promise<ArrayBuffer>;

type Blocks = Extract<StoredWeights, { readonly kind: 'blocks' }>;
type Columns = Extract<StoredWeights, { readonly kind: 'columns' }>;

/** Values and scales of MatMulNBits as float32: rows of `inFeatures`, from row `from` up to `to`. */
const rowsOfBlocks = async (
  { bits, block, values, scales, zeros }: Blocks,
  { inFeatures }: Site,
  range: { readonly from: number; readonly to: number; readonly read: Read },
): Promise<Float32Array> => {
  const { from, to, read } = range;
  const count = to - from;
  const blocks = Math.ceil(inFeatures / block);
  const rowBytes = (blocks * block * bits) / 8;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const packed = new Uint8Array(await read(values, from * rowBytes, count * rowBytes));
  const factors = new Float32Array(await read(scales, from * blocks * 4, count * blocks * 4));
  const points =
    zeros === undefined ? undefined : new Uint8Array(await read(zeros, from * zeroBytes, count * zeroBytes));
  const numberAt = (bytes: Uint8Array, start: number, at: number): number => {
    if (bits === 8) return bytes[start + at] ?? 0;
    return ((bytes[start + (at >> 1)] ?? 0) >> (4 * (at & 1))) & 15;
  };
  const rows = new Float32Array(count * inFeatures);
  for (let row = 0; row < count; row += 1) {
    for (let at = 0; at < inFeatures; at += 1) {
      const piece = Math.floor(at / block);
      const zero = points === undefined ? 2 ** (bits - 1) : numberAt(points, row * zeroBytes, piece);
      const value = numberAt(packed, row * rowBytes, at);
      rows[row * inFeatures + at] = (value - zero) * (factors[row * blocks + piece] ?? 0);
    }
  }
  return rows;
};

/** Of one block of a linear: `at` is the feature of the linear that its first column is. */
type Piece = {
  readonly block: WeightBlock;
  readonly site: Site;
  readonly change: Change;
  readonly at: number;
  readonly read: Read;
};

/** Squares of the lengths of rows that are stored as rows. */
const squaresOfRows = async (stored: Blocks, piece: Piece): Promise<Float64Array> => {
  const { site, change, at, read } = piece;
  const { first, width } = piece.block;
  const { inFeatures } = site;
  const { rank, a, b } = change;
  const squares = new Float64Array(width);
  const row = new Float64Array(inFeatures);
  const each = Math.max(1, Math.floor(chunkBytes / (4 * inFeatures)));
  for (let from = 0; from < width; from += each) {
    const to = Math.min(width, from + each);
    const rows = await rowsOfBlocks(stored, site, { from: first + from, to: first + to, read });
    for (let o = from; o < to; o += 1) {
      for (let i = 0; i < inFeatures; i += 1) row[i] = rows[(o - from) * inFeatures + i] ?? 0;
      for (let k = 0; k < rank; k += 1) {
        const factor = b[(at + o) * rank + k] ?? 0;
        for (let i = 0; i < inFeatures; i += 1) row[i]! += factor * (a[k * inFeatures + i] ?? 0);
      }
      let sum = 0;
      for (let i = 0; i < inFeatures; i += 1) sum += (row[i] ?? 0) ** 2;
      squares[o] = sum;
    }
  }
  return squares;
};

/** The same of rows that are stored as columns: each input feature adds to all of them. */
const squaresOfColumns = async ({ values: part }: Columns, piece: Piece): Promise<Float64Array> => {
  const { at, read } = piece;
  const { columns, first, width } = piece.block;
  const { inFeatures } = piece.site;
  const { rank, a, b } = piece.change;
  const squares = new Float64Array(width);
  const column = new Float64Array(width);
  const each = Math.max(1, Math.floor(chunkBytes / (4 * columns)));
  for (let from = 0; from < inFeatures; from += each) {
    const to = Math.min(inFeatures, from + each);
    const values = new Float32Array(await read(part, from * columns * 4, (to - from) * columns * 4));
    for (let i = from; i < to; i += 1) {
      const start = (i - from) * columns + first;
      for (let o = 0; o < width; o += 1) column[o] = values[start + o] ?? 0;
      for (let k = 0; k < rank; k += 1) {
        const factor = a[k * inFeatures + i] ?? 0;
        for (let o = 0; o < width; o += 1) column[o]! += factor * (b[(at + o) * rank + k] ?? 0);
      }
      for (let o = 0; o < width; o += 1) squares[o]! += (column[o] ?? 0) ** 2;
    }
  }
  return squares;
};

/**
 * The length of each row of the sum of a base weight and the change of an adapter, which DoRA divides by: in double
 * precision, some megabytes of the base in memory at a time. Undefined where the weights of the base cannot be read.
 * @throws MODEL_INVALID; those of the file system
 */
export const rowLengths = async (site: Site, change: Change): Promise<Float64Array | undefined> => {
  if (site.weights === undefined) return undefined;
  const files = new Map<string, FileHandle>();
  const read: Read = async (part, from, bytes) => {
    const file = files.get(part.path) ?? (await open(part.path, 'r'));
    files.set(part.path, file);
    return await readPart(file, part, from, bytes);
  };
  try {
    const lengths = new Float64Array(site.outFeatures);
    let at = 0;
    for (const block of site.weights) {
      const { stored } = block;
      const piece = { block, site, change, at, read };
      const squares =
        stored.kind === 'columns'
          ? await squaresOfColumns(stored, piece)
          : await squaresOfRows(stored, piece);
      lengths.set(squares, at);
      at += block.width;
    }
    return lengths.map(Math.sqrt);
  } finally {
    for (const file of files.values()) await file.close();
  }
};
