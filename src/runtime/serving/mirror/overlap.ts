import type { Clock } from '../../../time/clock.ts';

/** Share of the time in which copies may be with the engine together with requests. */
export const overlapShare = 0.05;
/** Milliseconds that can be saved up, and that there are in the beginning. */
export const maxOverlapMs = 5000;
/** Milliseconds that a copy has to have before it begins beside requests: one that is taken back at once is work for nothing. */
const minOverlapMs = maxOverlapMs / 2;

/**
 * The time that copies may share the engine with requests: a token bucket. What an engine does for a copy it cannot do for
 * a request; this bounds how much of that there is, however busy the node is and however much is mirrored.
 */
export class OverlapBudget {
  readonly #clock: Clock;
  #leftMs = maxOverlapMs;
  #at: number;
  #isOverlapping = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.monotonic();
  }

  /** From now on a copy and requests are with the engine together, or are not. */
  set(isOverlapping: boolean): void {
    this.#settle();
    this.#isOverlapping = isOverlapping;
  }

  /** A copy may begin beside requests. */
  get mayBegin(): boolean {
    this.#settle();
    return this.#leftMs >= minOverlapMs;
  }

  /** Milliseconds until a copy that is beside requests has to leave; 0: now. */
  get endsInMs(): number {
    this.#settle();
    return Math.max(0, this.#leftMs) / (1 - overlapShare);
  }

  #settle(): void {
    const now = this.#clock.monotonic();
    const passed = now - this.#at;
    this.#at = now;
    this.#leftMs += passed * (overlapShare - (this.#isOverlapping ? 1 : 0));
    this.#leftMs = Math.min(maxOverlapMs, this.#leftMs);
  }
}
