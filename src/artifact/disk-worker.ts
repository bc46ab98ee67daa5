import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { settle } from '../errors/across-threads.ts';
import { atMostEvery } from '../time/at-most-every.ts';
import { type ApplyInput, applyDelta } from './delta/apply.ts';
import { type ExtractInput, extract } from './extract.ts';
import { extractImage, type ImageInput } from './extract-image.ts';
import { weightFacts } from './weight-facts.ts';

/** Entry points of the disk thread, beside the serving thread: it may block. */

const chunkBytes = 1024 * 1024;

export type HashResult = { readonly hex: string; readonly size: number };

type HashInput = { readonly path: string; readonly bytesPerSecond: number | undefined };

const clock = new Int32Array(new SharedArrayBuffer(4));
/** Sleeps this thread for so many milliseconds. */
const sleep = (ms: number): void => {
  if (ms > 0) Atomics.wait(clock, 0, 0, ms);
};

const nobody = (): void => undefined;

/** `pause`: how this thread waits for so many milliseconds. `alive` is called for each piece. */
export const hashFile = (
  { path, bytesPerSecond }: HashInput,
  pause = sleep,
  alive: () => void = nobody,
): HashResult => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const hash = createHash('sha256');
    // Slow reading is even: no piece is more than a second's worth.
    const chunk = Buffer.allocUnsafe(Math.max(1, Math.min(chunkBytes, bytesPerSecond ?? chunkBytes)));
    let size = 0;
    for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) {
      hash.update(chunk.subarray(0, read));
      size += read;
      alive();
      if (bytesPerSecond !== undefined) pause((read / bytesPerSecond) * 1_000);
    }
    return { hex: hash.digest('hex'), size };
  } finally {
    closeSync(file);
  }
};

const signOfLifeMs = 1_000;
const alive = atMostEvery(
  signOfLifeMs,
  () => performance.now(),
  () => parentPort?.postMessage('alive'),
);

export const hash = (input: HashInput) => settle(() => hashFile(input, sleep, alive));
export const weights = (path: string) => settle(() => weightFacts(path));
export const unpack = (input: ExtractInput) => settle(() => extract(input, alive));
export const unpackImage = (input: ImageInput) => settle(() => extractImage(input, alive));
export const rebuild = (input: ApplyInput) => settle(() => applyDelta(input));
