import type { Clock } from '../../time/clock.ts';

const hourMs = 3_600_000;

/** Bytes that may be spent: so many at once, and as many more in each hour. */
export class HourlyBytes {
  readonly #most: number;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #left: number;
  #at: number;

  constructor(most: number, clock: Pick<Clock, 'monotonic'>) {
    this.#most = most;
    this.#clock = clock;
    this.#left = most;
    this.#at = clock.monotonic();
  }

  /** Spends them; false: so many are not left. */
  take(bytes: number): boolean {
    const now = this.#clock.monotonic();
    this.#left = Math.min(this.#most, this.#left + (this.#most * (now - this.#at)) / hourMs);
    this.#at = now;
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
}
