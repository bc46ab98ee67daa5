import { crc32 } from 'node:zlib';
import { type Entry, open, type ZipFile } from 'yauzl';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { TarEntry } from './tar.ts';

/** Entries of a directory that are read, folders included: an archive of nothing but names would take minutes. */
const maxEntries = 10_000;

/** High half of the attributes where the archive was made on Unix: the mode of the file. */
const unix = 3;
const typeOfMode = 0o170000;
const regular = 0o100000;

const encrypted = 1;
const methods: ReadonlySet<number> = new Set([0, 8]);

const invalid = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('ARTIFACT_ARCHIVE_INVALID', what, cause === undefined ? {} : { cause });

/** The library throws errors without a code where the archive is not well-formed; those of the disk have one. */
const asInvalid = (error: unknown): unknown =>
  error instanceof AdaptletError || errnoOf(error) !== undefined
    ? error
    : invalid('a zip archive cannot be read', error);

const opened = (path: string): Promise<ZipFile> =>
  new Promise((resolve, reject) => {
    // Names are checked as those of other archives; a backslash is no slash.
    const options = { lazyEntries: true, autoClose: false, strictFileNames: true } as const;
    open(path, options, (error, zip) => (error === null ? resolve(zip) : reject(error)));
  });

const nextOf = (zip: ZipFile): Promise<Entry | undefined> =>
  new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      zip.off('entry', onEntry).off('end', onEnd).off('error', onError);
      act();
    };
    const onEntry = (entry: Entry): void => settle(() => resolve(entry));
    const onEnd = (): void => settle(() => resolve(undefined));
    const onError = (error: unknown): void => settle(() => reject(error));
    zip.on('entry', onEntry).on('end', onEnd).on('error', onError);
    zip.readEntry();
  });

const contentOf = async function* (zip: ZipFile, entry: Entry): AsyncGenerator<Uint8Array> {
  const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
    zip.openReadStream(entry, (error, readable) => (error === null ? resolve(readable) : reject(error)));
  });
  let sum = 0;
  // More or fewer bytes than the directory says are an error of the stream.
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    sum = crc32(chunk, sum);
    yield chunk;
  }
  if (sum !== entry.crc32)
    throw invalid(`the file ${quoteUntrusted(entry.fileName)} of a zip archive has another checksum`);
};

const kindOf = ({ fileName, versionMadeBy, externalFileAttributes }: Entry): TarEntry['kind'] => {
  const mode = versionMadeBy >>> 8 === unix ? (externalFileAttributes >>> 16) & typeOfMode : 0;
  if (fileName.endsWith('/')) return 'folder';
  return mode === 0 || mode === regular ? 'file' : 'other';
};

const checked = (entry: Entry): Entry => {
  const name = quoteUntrusted(entry.fileName);
  if ((entry.generalPurposeBitFlag & encrypted) !== 0)
    throw invalid(`the file ${name} of a zip archive is encrypted`);
  if (!methods.has(entry.compressionMethod))
    throw invalid(`the file ${name} of a zip archive is packed by the method ${entry.compressionMethod}`);
  return entry;
};

/**
 * Entries of a zip archive, as its directory at the end has them: what lies between them counts for nothing. `alive` is called
 * for each piece that is read of a file.
 * @throws AdaptletError ARTIFACT_ARCHIVE_INVALID, ARTIFACT_TOO_LARGE; errors of the disk as they are
 */
export const zipEntries = async function* (path: string, alive: () => void): AsyncGenerator<TarEntry> {
  let zip: ZipFile | undefined;
  try {
    zip = await opened(path);
    // What fails after somebody stopped to read is nobody's.
    zip.on('error', () => undefined);
    if (zip.entryCount > maxEntries)
      throw new AdaptletError('ARTIFACT_TOO_LARGE', `a zip archive has more than ${maxEntries} entries`);
    for (let entry = await nextOf(zip); entry !== undefined; entry = await nextOf(zip)) {
      const { fileName: name, uncompressedSize: size } = checked(entry);
      const content = heard(contentOf(zip, entry), alive);
      yield { name, kind: kindOf(entry), type: 'zip', size, content };
    }
  } catch (error) {
    throw asInvalid(error);
  } finally {
    zip?.close();
  }
};

const heard = async function* (
  content: AsyncIterable<Uint8Array>,
  alive: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of content) {
      alive();
      yield piece;
    }
  } catch (error) {
    throw asInvalid(error);
  }
};
