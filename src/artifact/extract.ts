import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { isTaken, safeName } from './file-name.ts';
import type { Compression } from './layers.ts';
import { type TarEntry, tarEntries } from './tar.ts';
import { zipEntries } from './zip.ts';

export type ExtractInput = {
  readonly archive: string;
  /** How a tar archive is packed; `zip`: it is none. */
  readonly compression: Compression | 'zip';
  /** Existing folder. Files that are there already are never replaced. */
  readonly target: string;
  readonly maxBytes: number;
  readonly maxFiles: number;
};

/** Headers and padding of an archive, and what else is in it beside the bytes of its files. */
const overheadBytes = 16 * 1024 * 1024;

export const tooLarge = (what: string): AdaptletError =>
  new AdaptletError('ARTIFACT_TOO_LARGE', `an archive unpacks to ${what}`);

/**
 * Stops a stream that unpacks to more than the files that were found in it so far, and what may be beside them: an archive of
 * nothing but headers would take minutes to read.
 */
const bounded = async function* (
  source: AsyncIterable<Uint8Array>,
  fileBytes: () => number,
  alive: () => void,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    alive();
    bytes += chunk.length;
    if (bytes > fileBytes() + overheadBytes)
      throw tooLarge(`more than ${overheadBytes} bytes beside its files`);
    yield chunk;
  }
};

export const unpacked = (archive: string, compression: Compression): AsyncIterable<Uint8Array> => {
  const file = createReadStream(archive);
  if (compression === 'none') return file;
  const unpack = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  // Errors reach the reader of `unpack`.
  return pipeline(file, unpack, () => {});
};

/**
 * Writes a regular file; links and devices are refused, not passed over. None is ever replaced.
 * @throws AdaptletError ARTIFACT_FILE_REFUSED, and those of the archive
 */
export const writeEntry = async (entry: TarEntry, name: string, target: string): Promise<void> => {
  if (entry.kind === 'other') {
    throw new AdaptletError(
      'ARTIFACT_FILE_REFUSED',
      `${quoteUntrusted(name)} of an archive is no regular file (type ${quoteUntrusted(entry.type)})`,
    );
  }
  const path = join(target, name);
  try {
    await mkdir(dirname(path), { recursive: true });
    await using file = await open(path, 'wx', 0o600);
    for await (const piece of entry.content) await file.writeFile(piece);
    await file.sync();
  } catch (error) {
    if (!isTaken(error)) throw error;
    throw new AdaptletError(
      'ARTIFACT_FILE_REFUSED',
      `an archive has the file ${quoteUntrusted(name)} twice, or also as a folder`,
      { cause: error },
    );
  }
};

/** What the decompression throws as an error of the catalogue; anything else as it is. */
export const asArchiveError = (error: unknown): unknown => {
  const code = errnoOf(error);
  if (error instanceof AdaptletError || code === undefined || !/^(Z_|ZSTD_|ERR_)/.test(code)) return error;
  return new AdaptletError('ARTIFACT_ARCHIVE_INVALID', 'an archive cannot be decompressed', { cause: error });
};

/**
 * Unpacks a tar or zip archive below `target`: safe names only, no links, no devices, bounded bytes and files.
 * `alive` is called for each piece that was read.
 * @returns bytes of the files written
 * @throws AdaptletError ARTIFACT_ARCHIVE_INVALID, ARTIFACT_FILE_REFUSED, ARTIFACT_TOO_LARGE
 */
export const extract = async (input: ExtractInput, alive: () => void = () => undefined): Promise<number> => {
  let bytes = 0;
  let files = 0;
  try {
    const { archive, compression } = input;
    const entries =
      compression === 'zip'
        ? zipEntries(archive, alive)
        : tarEntries(bounded(unpacked(archive, compression), () => bytes, alive));
    for await (const entry of entries) {
      if (entry.kind === 'folder') continue;
      bytes += entry.size;
      files++;
      if (bytes > input.maxBytes) throw tooLarge(`more than ${input.maxBytes} bytes`);
      if (files > input.maxFiles) throw tooLarge(`more than ${input.maxFiles} files`);
      await writeEntry(entry, safeName(entry.name, 'an archive'), input.target);
    }
  } catch (error) {
    throw asArchiveError(error);
  }
  return bytes;
};
