import type { Clock } from '../../time/clock.ts';

/** How many may come at once, and how many each second afterwards. */
export type Rate = { readonly burst: number; readonly perSecond: number };

/**
 * Of the messages of one stream. Nothing is dropped: what is not read yet waits at the runtime, which then tells the newest
 * state instead of each step to it.
 */
const ofMessages: Rate = { burst: 64, perSecond: 32 };

/** How fast things are done that come as fast as others like. */
export class Pace {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #rate: Rate;
  #left: number;
  #at: number;

  constructor(clock: Pick<Clock, 'monotonic'>, rate: Rate = ofMessages) {
    this.#clock = clock;
    this.#rate = rate;
    this.#left = rate.burst;
    this.#at = clock.monotonic();
  }

  /** Milliseconds to wait before the next one. */
  next(): number {
    const { burst, perSecond } = this.#rate;
    const now = this.#clock.monotonic();
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond);
    this.#at = now;
    this.#left -= 1;
    return this.#left >= 0 ? 0 : (-this.#left / perSecond) * 1000;
  }
}
