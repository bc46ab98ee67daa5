import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Bandwidth } from '../time/bandwidth.ts';
import type { Answer } from './http-client.ts';
import type { Descriptor } from './manifest.ts';
import { type RetryOptions, withRetries } from './retry.ts';

/** A source that sends less than this between two looks at it drips. */
const leastBytes = 64 * 1024;

/** How a blob is asked for. */
export type Download = {
  readonly blob: Pick<Descriptor, 'digest' | 'size'>;
  /** Names it, and where it comes from, in messages. */
  readonly what: string;
  /** Whom it is asked from, for the budget of retries. */
  readonly host: string;
  /** One request with these headers. */
  readonly ask: (headers: Readonly<Record<string, string>>) => Promise<Answer>;
  /** What to throw at any other status than 200, 206 and 416. */
  readonly unexpected: (status: number) => AdaptletError;
  readonly signal: AbortSignal;
  /**
   * Gets the bytes that are there, with each {@link leastBytes} and at the end: less is no sign of life. Also called while it is
   * this side that waits.
   */
  readonly onBytes: (bytes: number) => void;
};

export type TransferOptions = RetryOptions & {
  /** What all downloads share. Absent: they are not held back. */
  readonly bandwidth?: Bandwidth;
};

type Write = (chunk: Uint8Array, position: number) => Promise<void>;

const writeFully = async (file: FileHandle, chunk: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < chunk.length; ) {
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
};

/**
 * Writes a blob to `path`, of which `have` bytes are there; goes on from there where the server can. What the file has is left to the
 * store, which hashes it.
 * @throws REGISTRY_UNAVAILABLE, ARTIFACT_CORRUPT where more comes than its size, and what `download` throws
 */
export const downloadTo = async (
  download: Download,
  { path, have }: { readonly path: string; readonly have: number },
  options: TransferOptions,
): Promise<void> => {
  const { size } = download.blob;
  await using file = await open(path, have > 0 ? 'r+' : 'w', 0o600);
  const write: Write = (chunk, position) => writeFully(file, chunk, position);
  await read(download, have > size ? 0 : have, write, options);
  await file.truncate(size);
};

/** Digest of what is sent for a blob. Nothing of it is kept. */
export const digestOfDownload = async (download: Download, options: TransferOptions): Promise<Digest> => {
  let hash = createHash('sha256');
  const write: Write = async (chunk, position) => {
    if (position === 0) hash = createHash('sha256');
    hash.update(chunk);
  };
  await read(download, 0, write, options);
  return `sha256:${hash.digest('hex')}` as Digest;
};

/** A small blob in memory. */
export const downloadSmall = async (download: Download, options: TransferOptions): Promise<Uint8Array> => {
  const bytes = new Uint8Array(download.blob.size);
  await read(download, 0, async (chunk, position) => bytes.set(chunk, position), options);
  return bytes;
};

/** `write` gets the chunks in order, and from 0 again where the server begins again. */
const read = async (
  download: Download,
  from: number,
  write: Write,
  options: TransferOptions,
): Promise<void> => {
  const { blob, what, host, signal, onBytes } = download;
  const { bandwidth } = options;
  let have = from;
  let furthest = have;
  let progressed = false;
  const alive = (): void => onBytes(have);
  const attempt = async (): Promise<void> => {
    progressed = false;
    if (have < blob.size) {
      await bandwidth?.open(signal, alive);
      await using answer = await askFrom(download, have);
      have = answer.response.status === 206 ? have : 0;
      let told = have;
      for await (const chunk of answer.body) {
        if (have + chunk.length > blob.size) throw tooLong(what, blob.size);
        await write(chunk, have);
        have += chunk.length;
        if (have > furthest) progressed = true;
        furthest = Math.max(furthest, have);
        await bandwidth?.take(chunk.length, signal, alive);
        if (have - told < leastBytes && have < blob.size) continue;
        told = have;
        onBytes(have);
      }
    }
    if (have < blob.size)
      throw new AdaptletError('REGISTRY_UNAVAILABLE', `${what} ended after ${have} of ${blob.size} bytes`);
  };
  await withRetries(options, signal, attempt, { host, progressed: () => progressed });
};

const askFrom = async (download: Download, have: number): Promise<Answer> => {
  const { blob, ask, unexpected } = download;
  // With its end: some servers understand no other form.
  const answer = await ask(have > 0 ? { range: `bytes=${have}-${blob.size - 1}` } : {});
  const { status, headers } = answer.response;
  const from = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1];
  if (status === 200 || (status === 206 && Number(from) === have)) return answer;
  await answer[Symbol.asyncDispose]();
  // It does not resume as it should: from the start.
  if (have > 0 && (status === 206 || status === 416)) return await askFrom(download, 0);
  throw unexpected(status);
};

const tooLong = (what: string, size: number): AdaptletError =>
  new AdaptletError('ARTIFACT_CORRUPT', `${what} came with more than its ${size} bytes`);
