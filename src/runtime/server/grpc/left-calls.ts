import type { Http2Session } from 'node:http2';
import type { Clock } from '../../../time/clock.ts';
import { afterWhatCame } from '../after-what-came.ts';
import type { Penalties } from '../penalties.ts';

/** Milliseconds that calls of a connection wait for each of its calls that was left too early, that two of them are apart, and the most that one waits. */
const waitMs = { each: 50, apart: 10, most: 2000 } as const;

/** Calls that may wait at the same time: HTTP/2 takes 64 KiB of the message of each, which nobody counts meanwhile. More begin at once. */
const mostWaiting = 256;

/**
 * Has calls wait to begin whose connection had calls that its client left early, over and over (leaves.ts). Its next connections wait as well
 * ({@link Penalties}): a client of gRPC keeps the one that it has.
 *
 * Guarantees: no call of a connection waits on which none was left, and none for more than 2 s. One that is reset while it waits costs its stream.
 */
export class LeftCalls {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly #penalties: Penalties;
  /** When the next call of a connection begins. */
  readonly #beginAt = new WeakMap<Http2Session, number>();
  /** Connections that ended with calls. */
  readonly #ended = new WeakSet<Http2Session>();
  #waiting = 0;

  constructor(clock: Pick<Clock, 'monotonic' | 'after'>, penalties: Penalties) {
    this.#clock = clock;
    this.#penalties = penalties;
  }

  /** The client of a call left before its answer was whole, so many milliseconds behind the beginning of the call. */
  left(session: Http2Session, address: string | undefined, afterMs: number): void {
    if (session.destroyed) {
      // All of its calls end with a connection, which is one client that left, or a link that broke.
      if (this.#ended.has(session)) return;
      this.#ended.add(session);
    }
    if (this.#penalties.left(address, afterMs)) this.#delay(session, waitMs.each);
  }

  /** Calls `begin` when a call of the connection may begin: mostly when what came behind it is read. */
  admit(session: Http2Session, begin: () => void): void {
    const ms = (this.#beginAt.get(session) ?? 0) - this.#clock.monotonic();
    if (ms <= 0 || this.#waiting >= mostWaiting) {
      afterWhatCame(begin);
      return;
    }
    this.#delay(session, waitMs.apart);
    this.#waiting += 1;
    this.#clock.after(ms, () => {
      this.#waiting -= 1;
      begin();
    });
  }

  #delay(session: Http2Session, ms: number): void {
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#beginAt.get(session) ?? now) + ms;
    this.#beginAt.set(session, Math.min(at, now + waitMs.most));
  }
}
