import type { HeldVersions } from '../../control/held-versions.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';

/** A stream of a runtime, as far as others end it. */
export type Stream = {
  end(error: AdaptletError): void;
  /** What the runtime holds, as far as that is known. */
  readonly held: HeldVersions | undefined;
};

/** How long a connection that ended still keeps out older ones. Streams that hang longer are ended by keepalives. */
const rememberMs = 60_000;

type Entry = {
  readonly connectionSeq: bigint;
  /** Undefined: it ended. */
  stream: Stream | undefined;
  /** What the runtime held at the end of it. */
  held: HeldVersions | undefined;
  /** Ends what forgets it. */
  stop: () => void;
};

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
    return this.#entries.get(key)?.stream;
  }

  /**
   * Ends the older stream, and returns what the runtime held with it; undefined: nobody knows, or there was none within a
   * minute.
   * @throws CONNECTION_REPLACED when this one is the older
   */
  admit(key: RuntimeKey, connectionSeq: bigint, stream: Stream): HeldVersions | undefined {
    const entry = this.#entries.get(key);
    const older = entry?.stream;
    const isOld =
      entry !== undefined &&
      (older === undefined ? connectionSeq < entry.connectionSeq : connectionSeq <= entry.connectionSeq);
    if (isOld) {
      throw new AdaptletError(
        'CONNECTION_REPLACED',
        `the connection ${connectionSeq} of ${key} is older than its connection ${entry.connectionSeq}`,
      );
    }
    entry?.stop();
    this.#entries.set(key, { connectionSeq, stream, held: undefined, stop: () => undefined });
    older?.end(
      new AdaptletError(
        'CONNECTION_REPLACED',
        `the connection ${connectionSeq} of ${key} is newer than this one`,
      ),
    );
    return older === undefined ? entry?.held : older.held;
  }

  /** The stream ended. It is let go, and all that hangs on it: a runtime may come and go many times a minute. */
  release(key: RuntimeKey, stream: Stream): void {
    const entry = this.#entries.get(key);
    if (entry?.stream !== stream) return;
    entry.stream = undefined;
    entry.held = stream.held;
    entry.stop = this.#clock.after(rememberMs, () => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
  }
}
