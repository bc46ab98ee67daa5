import type { Clock } from './clock.ts';

/** What is known of the time, in milliseconds since the epoch. */
export type KnownTime = {
  /** It is not earlier: somebody who is believed said so. */
  readonly atLeast: number;
  /** What the clock said last while nothing spoke against it. */
  readonly last: number;
};

/**
 * The clock of a machine that may begin in 1970: one without a battery, before it heard of the time.
 *
 * Guarantees: `now` is never before what is known; a clock that nothing speaks against is believed, whatever it said before, so that one
 * that was wrong for a while leaves nothing behind. Durations and timers are those of the machine.
 */
export class BoundedClock implements Clock {
  readonly #clock: Clock;
  #known: KnownTime;
  /** Monotonic time at which it was known. */
  #since: number;

  constructor(clock: Clock, known: KnownTime = { atLeast: 0, last: 0 }) {
    this.#clock = clock;
    this.#known = known;
    this.#since = clock.monotonic();
  }

  now(): number {
    const said = this.#clock.now();
    return this.isBehind ? this.known().last : said;
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(ms: number, fn: () => void): () => void {
    return this.#clock.after(ms, fn);
  }

  /** The machine's clock is wrong for sure: it says less than is known. */
  get isBehind(): boolean {
    return this.#clock.now() < this.#known.atLeast + this.#passed;
  }

  /** As of now, to be remembered. */
  known(): KnownTime {
    const atLeast = this.#known.atLeast + this.#passed;
    const last = this.isBehind ? Math.max(atLeast, this.#known.last + this.#passed) : this.#clock.now();
    return { atLeast, last };
  }

  /** It is not earlier than this, in milliseconds since the epoch. True: that is more than was known. */
  raise(ms: number): boolean {
    const { atLeast, last } = this.known();
    if (!(ms > atLeast)) return false;
    this.#known = { atLeast: ms, last };
    this.#since = this.#clock.monotonic();
    return true;
  }

  get #passed(): number {
    return this.#clock.monotonic() - this.#since;
  }
}
