import type { Clock } from '../../../time/clock.ts';

export type SseOptions = {
  readonly clock: Clock;
  /** Milliseconds that the stream may wait for its reader. */
  readonly slowClientMs: number;
  /** The reader took nothing for that long. */
  readonly onSlow: () => void;
  /** The reader went away. */
  readonly onGone: () => void;
};

/** The data of an event, with its name where it has one. Neither has a line break. */
export type SseLine = string | { readonly event: string; readonly data: string };

const eventOf = (line: SseLine): string =>
  typeof line === 'string' ? `data: ${line}\n\n` : `event: ${line.event}\ndata: ${line.data}\n\n`;

/**
 * Server-sent events from an iterator of data lines, pulled only as the reader takes them: a slow reader makes the
 * iterator wait, and nothing piles up.
 */
export const sse = (lines: AsyncIterator<SseLine>, options: SseOptions): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder();
  let stopTimer: (() => void) | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        stopTimer?.();
        const next = await lines.next();
        if (next.done === true) {
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(eventOf(next.value)));
        stopTimer = options.clock.after(options.slowClientMs, () => {
          options.onSlow();
          // The iterator sees why at its next step, and that step must come: nobody else pulls.
          lines.next().then(
            () => controller.error(new Error('the reader is too slow')),
            (error: unknown) => controller.error(error),
          );
        });
      },
      async cancel() {
        stopTimer?.();
        options.onGone();
        await lines.return?.();
      },
    },
    { highWaterMark: 0 },
  );
};
