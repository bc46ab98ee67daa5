import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { settle } from '../errors/across-threads.ts';
import { type ApplyInput, applyDelta } from './delta/apply.ts';
import { type ExtractInput, extract } from './extract.ts';
import { extractImage, type ImageInput } from './extract-image.ts';
import { weightFacts } from './weight-facts.ts';

/** Entry points of the disk thread, beside the serving thread: it may block. */

const chunkBytes = 1024 * 1024;

export type HashResult = { readonly hex: string; readonly size: number };

const hashFile = (path: string): HashResult => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const hash = createHash('sha256');
    const chunk = Buffer.allocUnsafe(chunkBytes);
    let size = 0;
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) {
      hash.update(chunk.subarray(0, read));
      size += read;
    }
    return { hex: hash.digest('hex'), size };
  } finally {
    closeSync(file);
  }
};

export const hash = (path: string) => settle(() => hashFile(path));
export const weights = (path: string) => settle(() => weightFacts(path));
export const unpack = (input: ExtractInput) => settle(() => extract(input));
export const unpackImage = (input: ImageInput) => settle(() => extractImage(input));
export const rebuild = (input: ApplyInput) => settle(() => applyDelta(input));
