import type { Clock } from '../../../time/clock.ts';

const minuteMs = 60_000;

/**
 * Tokens per minute: a bucket that holds those of a minute and fills evenly. What an answer will cost is not known before, so it is
 * taken as it comes, and can go below nothing: then who comes next waits until that is made up for.
 *
 * Guarantee: in any time t, with all that was open at its end, no more is taken than the tokens of t and one minute, and
 * what those gave that were open when the bucket became empty.
 */
export class TokenBudget {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #perMinute: number;
  #level: number;
  #at: number;

  constructor(clock: Pick<Clock, 'monotonic'>, perMinute: number) {
    this.#clock = clock;
    this.#perMinute = perMinute;
    this.#level = perMinute;
    this.#at = clock.monotonic();
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  /** Tokens that are left; below 0: that are owed. */
  get level(): number {
    this.#fill();
    return this.#level;
  }

  /** What was used counts on. */
  set perMinute(tokens: number) {
    this.#fill();
    this.#level += tokens - this.#perMinute;
    this.#perMinute = tokens;
  }

  take(tokens: number): void {
    this.#fill();
    this.#level -= tokens;
  }

  /** Milliseconds until there is a token; 0 when there is one. */
  get waitMs(): number {
    const { level } = this;
    // Rounded: 0.1 of a token is nothing to wait for.
    if (level >= 0.9) return 0;
    return this.#perMinute === 0 ? minuteMs : Math.ceil(((1 - level) * minuteMs) / this.#perMinute);
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    const filled = this.#level + ((now - this.#at) * this.#perMinute) / minuteMs;
    this.#level = Math.min(this.#perMinute, filled);
    this.#at = now;
  }
}
