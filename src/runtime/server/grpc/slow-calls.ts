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

/** Milliseconds after which a message is late. */
const lateMs = 1000;
/** Calls whose message may be late at the same time, and bytes that came of their messages together. */
const maxLate = 1024;
const maxLateBytes = 128 << 20;

/**
 * Ends calls whose message does not come. Until it is there nobody knows of them: no deadline of ours runs, and grpc-js keeps
 * what came of it.
 *
 * Guarantees: at most 1,024 calls of all connections wait for longer than a second, and what came of their messages is at most 128 MiB:
 * the one with most gives way. None waits for longer than `bodyMs`.
 */
export class SlowCalls {
  readonly #parts: { readonly clock: Clock; readonly bodyMs: number };
  readonly #late = new Set<Waiting>();
  #lateBytes = 0;

  constructor(parts: { readonly clock: Clock; readonly bodyMs: number }) {
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
      this.#lateBytes += waiting.bytes;
      this.#makeRoom();
    });
    const came = (): void => {
      stopTimer();
      if (this.#late.delete(waiting)) this.#lateBytes -= waiting.bytes;
    };
    const took = (bytes: number): void => {
      waiting.bytes += bytes;
      if (!this.#late.has(waiting)) return;
      this.#lateBytes += bytes;
      this.#makeRoom();
    };
    return { came, took };
  }

  #makeRoom(): void {
    if (this.#late.size <= maxLate && this.#lateBytes <= maxLateBytes) return;
    let most: Waiting | undefined;
    for (const one of this.#late) if (most === undefined || one.bytes > most.bytes) most = one;
    const what = 'messages of other calls are on their way as well, and less came of them';
    most?.end(new AdaptletError('QUEUE_FULL', what, { retryAfterMs: 1000 }));
  }
}
