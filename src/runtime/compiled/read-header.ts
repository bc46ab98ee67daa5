import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { digestSchema } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  type CompiledHeader,
  compiledFormat,
  compiledMagic,
  compiledParts,
  preambleBytes,
  storedTypes,
} from './compiled-file.ts';

const size = z.int().min(0);
const part = z.object({ offset: size, length: size, crc32: size });
const schema = z.object({
  format: z.literal(compiledFormat),
  adapterDigest: digestSchema,
  baseDigest: digestSchema,
  engineVersion: z.string(),
  rank: size,
  targetModules: z.array(z.string()),
  tensors: z.array(
    z.object({
      module: z.string(),
      half: z.enum(compiledParts),
      shape: z.tuple([size, size]),
      dtype: z.enum(storedTypes),
      scale: z.number(),
      offset: size,
      length: size,
      crc32: size,
    }),
  ),
  head: z
    .object({
      labels: z.array(z.string()),
      activation: z.enum(['softmax', 'sigmoid', 'none']),
      weight: part,
      bias: part,
    })
    .optional(),
  fileBytes: size,
});

/** Of every version: what says which one it is. */
const versionSchema = z.looseObject({ format: size });

const corrupt = (path: string, what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('COMPILED_FILE_CORRUPT', `${path} ${what}`, cause === undefined ? {} : { cause });

/**
 * What the file system does not give of a compiled file is damage, as wrong bytes are: the file is made again from its artifact.
 * @throws AdaptletError COMPILED_FILE_CORRUPT
 */
export const orCorrupt = async <T>(path: string, reading: Promise<T>): Promise<T> => {
  try {
    return await reading;
  } catch (cause) {
    throw cause instanceof AdaptletError ? cause : corrupt(path, `cannot be read: ${String(cause)}`, cause);
  }
};

const parse = (path: string, bytes: Buffer): CompiledHeader => {
  try {
    const header: unknown = JSON.parse(bytes.toString('utf8'));
    const { format } = versionSchema.parse(header);
    if (format === compiledFormat) return schema.parse(header);
    const what = `${path} has format ${format}, this engine reads ${compiledFormat}`;
    throw new AdaptletError('COMPILED_FILE_STALE', what);
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    throw corrupt(path, 'has a header that is not valid', error);
  }
};

/** Headers that are kept: some tens of kilobytes each. */
const maxHeaders = 64;

/** Headers that were read and checked before, by path; one whose bytes are the same is not parsed again. */
export class KnownHeaders {
  readonly #byPath = new Map<string, { readonly bytes: Buffer; readonly header: CompiledHeader }>();

  get(path: string, bytes: Buffer): CompiledHeader | undefined {
    const known = this.#byPath.get(path);
    return known?.bytes.equals(bytes) === true ? known.header : undefined;
  }

  set(path: string, bytes: Buffer, header: CompiledHeader): void {
    this.#byPath.delete(path);
    this.#byPath.set(path, { bytes, header });
    const [oldest] = this.#byPath.keys();
    if (oldest !== undefined && this.#byPath.size > maxHeaders) this.#byPath.delete(oldest);
  }
}

/**
 * Reads the header of a compiled file and checks it against its checksum and the length of the file. The checksums of
 * the tensors are left to whoever reads the tensors. Parsing 420 tensors takes milliseconds: `known` saves it for a file that
 * is read again.
 * @throws AdaptletError COMPILED_FILE_CORRUPT, COMPILED_FILE_STALE; file system errors (ENOENT) as they are
 */
export const readCompiledHeader = async (
  path: string,
  known?: KnownHeaders,
  openFile: (path: string) => Promise<FileHandle> = (it) => open(it, 'r'),
): Promise<CompiledHeader> => {
  await using file = await openFile(path);
  const { size: fileBytes } = await file.stat();
  const preamble = Buffer.alloc(preambleBytes);
  const { bytesRead } = await file.read(preamble, 0, preambleBytes, 0);
  if (bytesRead < preambleBytes || preamble.toString('latin1', 0, 8) !== compiledMagic) {
    throw corrupt(path, 'does not begin as a compiled adapter');
  }
  const headerBytes = preamble.readUInt32LE(8);
  if (preambleBytes + headerBytes > fileBytes) throw corrupt(path, 'ends within its header');
  const bytes = Buffer.alloc(headerBytes);
  const read = await file.read(bytes, 0, headerBytes, preambleBytes);
  if (read.bytesRead < headerBytes || crc32(bytes) !== preamble.readUInt32LE(12)) {
    throw corrupt(path, 'has a header with a wrong checksum');
  }
  const header = known?.get(path, bytes) ?? parse(path, bytes);
  if (header.fileBytes !== fileBytes) {
    throw corrupt(path, `has ${fileBytes} bytes instead of ${header.fileBytes}`);
  }
  known?.set(path, bytes, header);
  return header;
};
