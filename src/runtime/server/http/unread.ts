import type { Socket } from 'node:net';
import type { Clock } from '../../../time/clock.ts';

/**
 * How an answer is watched that is all there: milliseconds between two looks, and bytes that its reader takes at least between them, 8 KiB
 * a second. The time is long since the kernel takes up to 1.5 MiB at once where it holds much: 32 KiB a second are still seen.
 */
const reading = { lookMs: 60_000, leastBytes: 480 << 10 } as const;

type Handle = { readonly bytesWritten: number; readonly writeQueueSize: number };

/**
 * Bytes of a connection that the kernel took, of all its answers. An answer is one write, and Node tells how far a write is by nothing that
 * is public: `unread.test.ts` says when this is no longer there.
 */
export const takenBytes = (socket: Socket): number => {
  // That of TLS lies over the one that writes.
  const { _handle: own } = socket as unknown as { readonly _handle: (Handle & { _parent?: Handle }) | null };
  const handle = own?._parent ?? own;
  return handle === null ? 0 : handle.bytesWritten - handle.writeQueueSize;
};

/** Calls `tooSlow` once less is taken than there has to be; `taken` says how many bytes were so far. The result ends it. */
export const watchReader = (
  clock: Pick<Clock, 'after'>,
  taken: () => number,
  tooSlow: () => void,
): (() => void) => {
  let before = taken();
  const look = (): void => {
    const now = taken();
    if (now - before < reading.leastBytes) {
      tooSlow();
      return;
    }
    before = now;
    stopTimer = clock.after(reading.lookMs, look);
  };
  let stopTimer = clock.after(reading.lookMs, look);
  return () => stopTimer();
};
