import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';

/** A stream of a runtime, as far as others end it. */
export type Stream = { end(error: AdaptletError): void };

/** How long a connection that ended still keeps out older ones. Streams that hang longer are ended by keepalives. */
const rememberMs = 60_000;

type Entry = { readonly connectionSeq: bigint; readonly stream: Stream; live: boolean };

/**
 * Which stream of each runtime counts. Of two the one with the higher connectionSeq: a request that was on its way for
 * long does not take a runtime from its newer stream.
 */
export class Connections {
  readonly #clock: Clock;
  readonly #entries = new Map<RuntimeKey, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The stream that counts. */
  get(key: RuntimeKey): Stream | undefined {
    const entry = this.#entries.get(key);
    return entry?.live === true ? entry.stream : undefined;
  }

  /**
   * Ends the older stream, and returns it; undefined: there was none within a minute.
   * @throws CONNECTION_REPLACED when this one is the older
   */
  admit(key: RuntimeKey, connectionSeq: bigint, stream: Stream): Stream | undefined {
    const entry = this.#entries.get(key);
    const isOld =
      entry !== undefined &&
      (entry.live ? connectionSeq <= entry.connectionSeq : connectionSeq < entry.connectionSeq);
    if (isOld) {
      throw new AdaptletError(
        'CONNECTION_REPLACED',
        `the connection ${connectionSeq} of ${key} is older than its connection ${entry.connectionSeq}`,
      );
    }
    this.#entries.set(key, { connectionSeq, stream, live: true });
    if (entry?.live === true) {
      entry.stream.end(
        new AdaptletError(
          'CONNECTION_REPLACED',
          `the connection ${connectionSeq} of ${key} is newer than this one`,
        ),
      );
    }
    return entry?.stream;
  }

  /** The stream ended. */
  release(key: RuntimeKey, stream: Stream): void {
    const entry = this.#entries.get(key);
    if (entry?.stream !== stream) return;
    entry.live = false;
    this.#clock.after(rememberMs, () => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
  }
}
