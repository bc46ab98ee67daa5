import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';

type Ended = (error: AdaptletError) => void;

/** A message on its way. */
export type Coming = {
  /** It is there, or the call is over. */
  readonly came: () => void;
  /** So many bytes more of it are there. */
  readonly took: (bytes: number) => void;
};

type Waiting = { readonly end: Ended; bytes: number };

/** Milliseconds after which a message is late, and calls whose message may be so at the same time. */
const lateMs = 1000;
const maxLate = 1024;

/** Of a late message: with fewer it gives way to none that is larger. */
const fewBytes = 64 << 10;

const mostOf = (calls: Iterable<Waiting>): Waiting | undefined => {
  let most: Waiting | undefined;
  for (const one of calls) if (most === undefined || one.bytes > most.bytes) most = one;
  return most;
};

type SlowParts = {
  readonly clock: Clock;
  readonly bodyMs: number;
  /** Bytes that came of all messages on their way together. */
  readonly bodyBytes: number;
};

/**
 * Ends calls whose message does not come. Until it is there nobody knows of them: no deadline of ours runs, and grpc-js keeps
 * what came of it.
 *
 * Guarantees: what came of messages on their way is at most `bodyBytes`, of all connections, and at most 1,024 calls wait for longer than a
 * second: the late one with most gives way, and one that is not late where those that are have little. None waits for longer than `bodyMs`.
 */
export class SlowCalls {
  readonly #parts: SlowParts;
  readonly #waiting = new Set<Waiting>();
  readonly #late = new Set<Waiting>();
  #bytes = 0;

  constructor(parts: SlowParts) {
    this.#parts = parts;
  }

  /** A call waits for its message from now on. */
  begin(ended: Ended): Coming {
    const { clock, bodyMs } = this.#parts;
    const end = (error: AdaptletError): void => {
      came();
      ended(error);
    };
    const waiting: Waiting = { end, bytes: 0 };
    let stopTimer = clock.after(Math.min(lateMs, bodyMs), () => {
      const what = `the message of the call did not come within ${bodyMs} ms (--body-timeout)`;
      stopTimer = clock.after(Math.max(0, bodyMs - lateMs), () =>
        end(new AdaptletError('DEADLINE_EXCEEDED', what, { advice: 'Send the whole message at once.' })),
      );
      this.#late.add(waiting);
      this.#makeRoom();
    });
    const came = (): void => {
      stopTimer();
      this.#late.delete(waiting);
      if (this.#waiting.delete(waiting)) this.#bytes -= waiting.bytes;
    };
    const took = (bytes: number): void => {
      waiting.bytes += bytes;
      this.#bytes += bytes;
      this.#makeRoom();
    };
    this.#waiting.add(waiting);
    return { came, took };
  }

  #makeRoom(): void {
    if (this.#late.size <= maxLate && this.#bytes <= this.#parts.bodyBytes) return;
    const late = mostOf(this.#late);
    const isLarge = late !== undefined && late.bytes >= fewBytes;
    const most = isLarge || this.#late.size > maxLate ? late : mostOf(this.#waiting);
    const what = 'messages of other calls are on their way as well (--body-memory), and less came of them';
    most?.end(new AdaptletError('QUEUE_FULL', what, { retryAfterMs: 1000 }));
  }
}
