import type { Clock } from '../../../time/clock.ts';

/** Completions that the rate is taken of. */
const maxCompletions = 32;

/** How many requests end per second, of late. */
export class CompletionRate {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #times: number[] = [];

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** One more ended. */
  count(): void {
    this.#times.push(this.#clock.monotonic());
    if (this.#times.length > maxCompletions) this.#times.shift();
  }

  /** Undefined before two ended. */
  get perSecond(): number | undefined {
    const [first] = this.#times;
    if (first === undefined || this.#times.length < 2) return undefined;
    const seconds = (this.#clock.monotonic() - first) / 1000;
    return seconds > 0 ? (this.#times.length - 1) / seconds : undefined;
  }
}

/** Milliseconds: a retry earlier than that finds the same queue, and one later than that leaves places free. */
const minRetryMs = 250;
const maxRetryMs = 30_000;
/** As long as nothing is known. */
const unknownRetryMs = 1000;

/**
 * Milliseconds after which a request that the full queue refused may try again: until those that wait now are done, at the
 * rate at which requests ended of late, if it is known.
 */
export const retryAfterMs = (waiting: number, recentCompletionsPerSecond: number | undefined): number => {
  if (recentCompletionsPerSecond === undefined) return unknownRetryMs;
  if (!(recentCompletionsPerSecond > 0)) return maxRetryMs;
  const ms = Math.ceil((waiting / recentCompletionsPerSecond) * 1000);
  return Math.min(maxRetryMs, Math.max(minRetryMs, ms));
};
