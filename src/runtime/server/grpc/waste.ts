import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../../../time/clock.ts';

/** Bytes of messages that may come on a connection for nothing: at once, and in each millisecond on top. A message may have 4 MiB. */
const most = { bytes: 8 << 20, perMs: (1 << 20) / 1000 } as const;

/**
 * Bytes of messages that did not come to their end, on each connection, less those of messages that did and what time allows. A client that leaves
 * while it sends costs what it sent; one that only does that keeps the thread busy that all requests share.
 */
export class Waste {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #end: (session: Http2Session, stream: ServerHttp2Stream) => void;
  readonly #seen = new WeakMap<Http2Session, { bytes: number; at: number }>();
  /** Bytes of messages on their way. */
  readonly #coming = new WeakMap<Http2Session, number>();

  /** `end`: too much came on a connection, last of this stream. */
  constructor(
    clock: Pick<Clock, 'monotonic'>,
    end: (session: Http2Session, stream: ServerHttp2Stream) => void,
  ) {
    this.#clock = clock;
    this.#end = end;
  }

  /** So many bytes more of messages on their way are there; less than zero: these have come, or will not be. */
  coming(session: Http2Session, bytes: number): void {
    this.#coming.set(session, (this.#coming.get(session) ?? 0) + bytes);
  }

  /** There is no room for a message, as the others of its own connection are many: it is no accident of its client. */
  takesRoom(session: Http2Session): boolean {
    return (this.#coming.get(session) ?? 0) > most.bytes;
  }

  /** A message of so many bytes is whole. */
  came(session: Http2Session, bytes: number): void {
    this.#add(session, -bytes);
  }

  /** So many bytes came of one that will not be. */
  lost(session: Http2Session, stream: ServerHttp2Stream, bytes: number): void {
    if (this.#add(session, bytes) > most.bytes) this.#end(session, stream);
  }

  #add(session: Http2Session, bytes: number): number {
    const now = this.#clock.monotonic();
    const seen = this.#seen.get(session) ?? { bytes: 0, at: now };
    // Time takes back what was wasted, and gives nothing on top of that.
    const left = seen.bytes > 0 ? Math.max(0, seen.bytes - (now - seen.at) * most.perMs) : seen.bytes;
    const sum = Math.max(-most.bytes, left + bytes);
    this.#seen.set(session, { bytes: sum, at: now });
    return sum;
  }
}
