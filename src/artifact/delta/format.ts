import { z } from 'zod';
import { type Digest, digestSchema } from '../../api/names.ts';
import { parsedBy } from '../../api/parsed.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Widths of the numbers of safetensors files. All divide the size of a block. */
export const widths = [1, 2, 4, 8] as const;

/** A file, by what it must be. */
export type FileIdentity = { readonly digest: Digest; readonly size: number };

/**
 * A part of the file that is made. `from` absent: its bytes are in the delta. Else they are those of the base from there on,
 * each changed (XOR) by one of the delta, whose bytes lie in `width` planes: first bytes of all numbers, then second ones.
 */
export type Segment = {
  readonly length: number;
  readonly from?: number | undefined;
  readonly width: (typeof widths)[number];
};

export type DeltaHeader = {
  readonly from: FileIdentity;
  readonly to: FileIdentity;
  readonly segments: readonly Segment[];
};

/** What a delta begins with: a name and the version of the format. */
export const magic = Buffer.from('ADLTDLT1', 'latin1');
/** Magic, and the length of the header as 4 bytes, little-endian. */
export const preludeBytes = magic.length + 4;
export const maxHeaderBytes = 1 << 20;
const maxSegments = 32_768;
/** Largest file that a delta makes. */
export const maxTargetBytes = 1024 ** 3;
/** Bytes of the file that one block makes at most: what is in memory at a time is some of these. */
export const blockBytes = 1 << 20;
/** Window of the compression, as a power of two: no more than a block. */
export const windowLog = 20;
/** Most bytes that a block takes in a delta: zstd adds little to what it cannot compress. */
export const maxPackedBytes = (bytes: number): number => bytes + (bytes >> 7) + 512;

export const invalidDelta = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('DELTA_INVALID', what, cause === undefined ? {} : { cause });

const identity = z.strictObject({ digest: digestSchema, size: z.int().min(0) });
const segment = z.strictObject({
  length: z.int().min(1),
  from: z.int().min(0).optional(),
  width: z.union(widths.map((width) => z.literal(width))),
});
/** Segments are read one by one: a million faults must not become a million objects, nor a message of them. */
const schema = z.strictObject({ from: identity, to: identity, segments: z.array(z.unknown()) });

export const writeHeader = (header: DeltaHeader): Buffer => {
  const text = Buffer.from(JSON.stringify(header));
  if (text.length > maxHeaderBytes || header.segments.length > maxSegments)
    throw new AdaptletError('DELTA_REFUSED', `a delta would have ${header.segments.length} segments`);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([magic, length, text]);
};

/** Length of the header after a prelude. */
export const headerLength = (prelude: Buffer): number => {
  if (prelude.length !== preludeBytes || !prelude.subarray(0, magic.length).equals(magic))
    throw invalidDelta('this is no delta of a version that is known');
  const length = prelude.readUInt32LE(magic.length);
  if (length <= maxHeaderBytes) return length;
  throw invalidDelta(`the header of a delta says that it has ${length} bytes`);
};

/**
 * The header of a delta that is to make `to` out of `from`. After it all sizes are known, and within the limits.
 * @throws AdaptletError DELTA_INVALID
 */
export const readHeader = (
  text: Uint8Array,
  { from, to }: { readonly from: FileIdentity; readonly to: FileIdentity },
): DeltaHeader => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch (error) {
    throw invalidDelta('the header of a delta is not JSON', error);
  }
  const { data } = parsedBy(schema, value);
  if (data === undefined) throw invalidDelta('the header of a delta is not valid');
  if (data.segments.length > maxSegments) throw invalidDelta(`a delta has ${data.segments.length} segments`);
  const segments = data.segments.map((entry, i) => {
    const read = parsedBy(segment, entry);
    if (read.success) return read.data;
    throw invalidDelta(`segment ${i} of a delta is not valid`);
  });
  const header = { ...data, segments };
  check(header, 'from', from);
  check(header, 'to', to);
  if (to.size > maxTargetBytes)
    throw invalidDelta(`a delta makes ${to.size} bytes, the limit is ${maxTargetBytes}`);
  let made = 0;
  for (const { length, from: at, width } of header.segments) {
    made += length;
    if (made > to.size) break;
    if (at !== undefined && (at + length > from.size || length % width !== 0))
      throw invalidDelta('a delta needs bytes that its base does not have');
  }
  if (made !== to.size)
    throw invalidDelta(`the parts of a delta do not make the ${to.size} bytes of the file`);
  return header;
};

const check = (header: DeltaHeader, which: 'from' | 'to', wanted: FileIdentity): void => {
  const { digest, size } = header[which];
  if (digest !== wanted.digest || size !== wanted.size)
    throw invalidDelta(
      `a delta is ${which} ${digest} of ${size} bytes, wanted is ${which} ${wanted.digest} of ${wanted.size}`,
    );
};

/** A part of a segment, as one block makes it. `at`: bytes from the beginning of the segment. */
export function* blocksOf({ length }: Segment): Generator<{ readonly at: number; readonly bytes: number }> {
  for (let at = 0; at < length; at += blockBytes) yield { at, bytes: Math.min(blockBytes, length - at) };
}
