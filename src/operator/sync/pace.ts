import type { Clock } from '../../time/clock.ts';

/** Messages of one runtime that are read at once, and how many each second afterwards. */
const burst = 64;
const perSecond = 32;

/**
 * How fast the messages of one stream are read. Nothing is dropped: what is not read yet waits at the runtime, which
 * then tells the newest state instead of each step to it.
 */
export class Pace {
  readonly #clock: Clock;
  #left = burst;
  #at: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.monotonic();
  }

  /** Milliseconds to wait before the next message is read. */
  next(): number {
    const now = this.#clock.monotonic();
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond);
    this.#at = now;
    this.#left -= 1;
    return this.#left >= 0 ? 0 : (-this.#left / perSecond) * 1000;
  }
}
