import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { cachedFolder, cacheFolder } from '../materials/cache.ts';
import { bytesOf, type Entry, tree } from '../rootfs/entry.ts';
import { tar } from './tar.ts';

/** A compressed layer on this machine. */
export type Layer = {
  readonly what: string;
  readonly file: string;
  /** Of the compressed bytes: sha256:… */
  readonly digest: string;
  /** Of the bytes before: sha256:… */
  readonly diffId: string;
  readonly size: number;
};

/** Level 9 makes it 1 % smaller and takes twice as long. */
const level = 6;

/** Equal entries, equal key. The bytes that gzip makes of them depend on zlib. */
const keyOf = (entries: readonly Entry[]): string => {
  const hash = createHash('sha256').update(`${process.arch} zlib ${process.versions.zlib} ${level}`);
  for (const entry of entries) {
    const { kind, path } = entry;
    const rest = entry.kind === 'link' ? entry.target : entry.mode;
    hash.update(JSON.stringify([kind, path, rest]));
    if (entry.kind === 'file') hash.update(createHash('sha256').update(bytesOf(entry)).digest());
  }
  return hash.digest('hex');
};

const watch = (see: (chunk: Buffer) => void): PassThrough => {
  const stream = new PassThrough();
  stream.on('data', see);
  return stream;
};

const write = async (entries: readonly Entry[], file: string): Promise<Omit<Layer, 'what' | 'file'>> => {
  const plain = createHash('sha256');
  const packed = createHash('sha256');
  let size = 0;
  await pipeline(
    tar(entries),
    watch((chunk) => plain.update(chunk)),
    createGzip({ level }),
    watch((chunk) => {
      packed.update(chunk);
      size += chunk.length;
    }),
    createWriteStream(file),
  );
  return { digest: `sha256:${packed.digest('hex')}`, diffId: `sha256:${plain.digest('hex')}`, size };
};

/** A layer with these entries and the folders that hold them, made once for equal content. */
export const layer = async (what: string, entries: readonly Entry[]): Promise<Layer> => {
  const sorted = tree(entries);
  const folder = await cachedFolder(join(cacheFolder('layers'), keyOf(sorted)), async (draft) => {
    const made = await write(sorted, join(draft, 'layer.tar.gz'));
    await writeFile(join(draft, 'layer.json'), JSON.stringify(made));
  });
  const made = JSON.parse(await readFile(join(folder, 'layer.json'), 'utf8')) as Omit<Layer, 'what' | 'file'>;
  return { what, file: join(folder, 'layer.tar.gz'), ...made };
};
