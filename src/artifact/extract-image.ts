import { posix } from 'node:path';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { adapterFoldersIn, onlyFolder } from './adapter-folder.ts';
import { asArchiveError, tooLarge, unpacked, writeEntry } from './extract.ts';
import { safeName } from './file-name.ts';
import type { Compression } from './layers.ts';
import { configFile } from './pack.ts';
import { type TarEntry, tarEntries } from './tar.ts';

export type ImageLayer = { readonly archive: string; readonly compression: Compression };

export type ImageInput = {
  /** From the lowest on. */
  readonly layers: readonly ImageLayer[];
  /** Existing folder. */
  readonly target: string;
  /** Of all layers together, unpacked. */
  readonly maxBytes: number;
  /** Of the files that are written: what the disk has left. */
  readonly roomBytes: number;
  readonly maxFiles: number;
};

/** Marks of a layer for what it takes away of those below: a name, or all that a folder had. */
const whiteout = '.wh.';
const opaque = '.wh..wh..opq';
/** Names that are kept in memory, those of marks and of files that may be the adapter's. */
const maxNames = 10_000;

const plainName = (name: string): string => name.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');

/** What the layers above have to say about those below. */
class Above {
  readonly #names = new Set<string>();
  readonly #gone = new Set<string>();

  hides(name: string): boolean {
    if (this.#names.has(name)) return true;
    for (let path = name; path !== '.'; path = posix.dirname(path)) if (this.#gone.has(path)) return true;
    return this.#gone.has('.');
  }

  get size(): number {
    return this.#names.size + this.#gone.size;
  }

  add(names: Iterable<string>, gone: Iterable<string>): void {
    for (const name of names) this.#names.add(name);
    for (const name of gone) this.#gone.add(name);
  }
}

type Unpacking = ImageInput & { readonly alive: () => void };

type Seen = { readonly name: string; readonly entry: TarEntry };

/** Entries that an image has once all its layers lie upon each other, of those that are `wanted`; the top layer first. */
const visible = async function* (
  { layers, maxBytes, alive }: Unpacking,
  wanted: (name: string) => boolean,
): AsyncGenerator<Seen> {
  const above = new Above();
  let left = maxBytes;
  const counted = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      alive();
      left -= chunk.length;
      if (left < 0) throw tooLarge(`more than ${maxBytes} bytes`);
      yield chunk;
    }
  };
  for (const { archive, compression } of layers.toReversed()) {
    const names = new Set<string>();
    const gone = new Set<string>();
    for await (const entry of tarEntries(counted(unpacked(archive, compression)))) {
      const name = plainName(entry.name);
      const base = posix.basename(name);
      if (base === opaque) gone.add(posix.dirname(name));
      else if (base.startsWith(whiteout))
        gone.add(posix.join(posix.dirname(name), base.slice(whiteout.length)));
      else if (wanted(name) && entry.kind !== 'folder') {
        if (names.has(name)) throw twice(name);
        names.add(name);
        if (!above.hides(name)) yield { name, entry };
      }
      if (above.size + names.size + gone.size > maxNames)
        throw tooLarge(`more than ${maxNames} names of files and of what is taken away`);
    }
    above.add(names, gone);
  }
};

const twice = (name: string): AdaptletError =>
  new AdaptletError('ARTIFACT_FILE_REFUSED', `a layer of an image has ${quoteUntrusted(name)} twice`);

const isGraph = (name: string): boolean => name.endsWith('.onnx');

/** Undefined where there is a base model and no adapter. */
const findFolder = async (input: Unpacking): Promise<string | undefined> => {
  const names: string[] = [];
  const isTelling = (name: string): boolean => posix.basename(name) === configFile || isGraph(name);
  for await (const { name } of visible(input, isTelling)) names.push(name);
  const folder = onlyFolder(adapterFoldersIn(names), 'the image');
  if (folder !== undefined || names.some(isGraph)) return folder;
  throw new AdaptletError('ARTIFACT_NOT_FOUND', `the image has no folder with an ${configFile}`, {
    advice: 'Put the files of the adapter into one folder of the image.',
  });
};

/**
 * Writes the one folder of an image that has an adapter_config.json, and nothing else of it: images hold a system beside it,
 * with links and devices. Below the folder only files are taken, and no links. `alive` is called for each piece that was read.
 * @returns bytes of the files written; undefined where there is a base model instead, and nothing was written
 * @throws AdaptletError ARTIFACT_NOT_FOUND, ARTIFACT_AMBIGUOUS, ARTIFACT_ARCHIVE_INVALID, ARTIFACT_FILE_REFUSED, ARTIFACT_TOO_LARGE, STORE_FULL
 */
export const extractImage = async (
  image: ImageInput,
  alive: () => void = () => undefined,
): Promise<number | undefined> => {
  const input = { ...image, alive };
  try {
    const folder = await findFolder(input);
    return folder === undefined ? undefined : await writeFolder(input, folder);
  } catch (error) {
    throw asArchiveError(error);
  }
};

const writeFolder = async (input: Unpacking, folder: string): Promise<number> => {
  const { target, maxFiles, roomBytes } = input;
  const start = folder === '.' ? '' : `${folder}/`;
  let bytes = 0;
  let files = 0;
  for await (const { name, entry } of visible(input, (each) => each.startsWith(start))) {
    bytes += entry.size;
    files++;
    if (files > maxFiles) throw tooLarge(`more than ${maxFiles} files`);
    if (bytes > roomBytes)
      throw new AdaptletError(
        'STORE_FULL',
        `an image unpacks to more than the ${roomBytes} bytes that are left`,
      );
    await writeEntry(entry, safeName(name.slice(start.length), 'an image'), target);
  }
  return bytes;
};
