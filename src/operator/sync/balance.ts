import type { Clock } from '../../time/clock.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';

/** A stream that can be ended so that its runtime dials anew at once. */
export type Movable = {
  /** Undefined before it has proved who it is. */
  readonly key: RuntimeKey | undefined;
  /** False: not at this moment. */
  move(): boolean;
};

export type BalanceOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly streams: () => Iterable<Movable>;
  /** Streams that each replica would have; undefined: nobody knows. */
  readonly share: () => number | undefined;
};

const lookMs = 1_000;
/** So long a replica has too many before it gives some away: replicas that are replaced come and go for a while. */
const calmMs = 60_000;
/** Streams that are ended at a look: others are not dialled by many at once. */
const atOnce = 5;
/** A runtime that came back is not sent away again for so long: where connections are not spread, that would have no end. */
const stayMs = 3_600_000;

/** Most streams of a replica that keeps all of them. A small fleet is left alone. */
export const limitOf = (share: number): number => 1.25 * share + 10;

/**
 * Gives streams away while this replica has clearly more than its share, as after a rolling update, in which the first
 * replica that is new gets nearly all. The runtime dials anew, and what spreads new connections sends it anywhere.
 */
export class Balance {
  readonly #options: BalanceOptions;
  /** Monotonic times at which runtimes were sent away, the oldest first. */
  readonly #moved = new Map<RuntimeKey, number>();
  #since: number | undefined;
  #stopTimer = (): void => undefined;
  /** Streams that were given away. */
  moved = 0;

  constructor(options: BalanceOptions) {
    this.#options = options;
    this.#wait();
  }

  close(): void {
    this.#stopTimer();
  }

  #wait(): void {
    this.#stopTimer = this.#options.clock.after(lookMs, () => {
      this.#look();
      this.#wait();
    });
  }

  #look(): void {
    const { clock, random, streams, share: shareNow } = this.#options;
    const now = clock.monotonic();
    const share = shareNow();
    const here = share === undefined ? [] : [...streams()].filter(({ key }) => key !== undefined);
    const excess = share === undefined ? 0 : here.length - limitOf(share);
    if (excess <= 0) {
      this.#since = undefined;
      return;
    }
    this.#since ??= now;
    if (now - this.#since < calmMs) return;
    for (const [key, at] of this.#moved) {
      if (now - at < stayMs) break;
      this.#moved.delete(key);
    }
    let left = Math.min(atOnce, Math.ceil(excess));
    const first = Math.floor(random() * here.length);
    for (const stream of [...here.slice(first), ...here.slice(0, first)]) {
      if (left === 0) return;
      const { key } = stream;
      if (key === undefined || this.#moved.has(key) || !stream.move()) continue;
      this.#moved.set(key, now);
      this.moved += 1;
      left -= 1;
    }
  }
}
