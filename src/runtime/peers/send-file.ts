import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { Bandwidth } from '../../time/bandwidth.ts';
import type { Clock } from '../../time/clock.ts';

/** First and last byte of a file. */
export type ByteRange = { readonly from: number; readonly to: number };

/**
 * The range that a header names of a file: all of it where there is no header, or one that is not understood (RFC 9110, 14.2); undefined
 * where none of it is there.
 */
export const rangeOf = (header: string | undefined, bytes: number): ByteRange | 'whole' | undefined => {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (from === '' && to === '') return 'whole';
  if (from === '')
    return Number(to) === 0 ? undefined : { from: Math.max(0, bytes - Number(to)), to: bytes - 1 };
  const last = to === '' ? bytes - 1 : Math.min(bytes - 1, Number(to));
  if (to !== '' && Number(to) < Number(from)) return 'whole';
  return Number(from) < bytes ? { from: Number(from), to: last } : undefined;
};

const chunkBytes = 64 * 1024;

type Sending = {
  readonly clock: Clock;
  readonly bandwidth: Bandwidth;
  /** Milliseconds that the other side may take to read a chunk. */
  readonly drainMs: number;
  readonly sent: (bytes: number) => void;
};

/**
 * Sends a part of a file, no faster than it is read.
 * @throws what keeps it from that: the other side is gone or too slow, or the disk cannot be read
 */
export const sendFile = async (
  file: FileHandle,
  { from, to }: ByteRange,
  response: ServerResponse,
  { clock, bandwidth, drainMs, sent }: Sending,
): Promise<void> => {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Error('the other runtime is gone'));
  response.once('close', leave);
  if (response.destroyed) leave();
  const { signal } = gone;
  try {
    for (let at = from; at <= to; ) {
      const length = Math.min(chunkBytes, to - at + 1);
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, at);
      if (bytesRead === 0) throw new Error('the file became shorter');
      signal.throwIfAborted();
      const isTaken = response.write(buffer.subarray(0, bytesRead));
      at += bytesRead;
      sent(bytesRead);
      await bandwidth.take(bytesRead, signal, () => undefined);
      if (!isTaken && response.writableNeedDrain) await drained(response, clock, drainMs, signal);
    }
    response.end();
  } finally {
    response.off('close', leave);
  }
};

const drained = async (
  response: ServerResponse,
  clock: Clock,
  ms: number,
  gone: AbortSignal,
): Promise<void> => {
  const late = new AbortController();
  const stop = clock.after(ms, () => late.abort(new Error(`the other runtime read nothing for ${ms} ms`)));
  try {
    await once(response, 'drain', { signal: AbortSignal.any([gone, late.signal]) });
  } finally {
    stop();
  }
};
