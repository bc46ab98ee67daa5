import type { Http2Session } from 'node:http2';
import type { Clock } from '../../../time/clock.ts';
import { afterWhatCame } from '../after-what-came.ts';
import type { Penalties } from '../penalties.ts';

/** Milliseconds that calls of a connection wait for each of its calls that was left too early, and the most that one waits. */
const waitMs = { each: 50, most: 2000 } as const;

/**
 * Has calls wait to begin whose connection had calls that its client left early, over and over (leaves.ts). Its next connections wait as well
 * ({@link Penalties}): a client of gRPC keeps the one that it has.
 *
 * Guarantees: no call of another connection waits, and none for more than 2 s. One that is reset while it waits costs its stream.
 */
export class LeftCalls {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly #penalties: Penalties;
  /** When calls of a connection begin. */
  readonly #beginAt = new WeakMap<Http2Session, number>();
  /** Connections that ended with calls. */
  readonly #ended = new WeakSet<Http2Session>();

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
    if (!this.#penalties.left(address, afterMs)) return;
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#beginAt.get(session) ?? now) + waitMs.each;
    this.#beginAt.set(session, Math.min(at, now + waitMs.most));
  }

  /** Calls `begin` when a call of the connection may begin: mostly when what came behind it is read. */
  admit(session: Http2Session, begin: () => void): void {
    const ms = (this.#beginAt.get(session) ?? 0) - this.#clock.monotonic();
    if (ms > 0) this.#clock.after(ms, begin);
    else afterWhatCame(begin);
  }
}
