import type { Clock } from '../../../time/clock.ts';

export type WatchdogOptions = {
  readonly clock: Clock;
  /** Milliseconds of silence that are too many now, or undefined while silence is right. */
  readonly limitMs: () => number | undefined;
  readonly onStall: (silentMs: number) => void;
};

const checkMs = 250;

/** Calls `onStall` once when nothing was heard for too long. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #heardAt: number;
  #checkedAt: number;
  #cancel: () => void = () => undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
    this.#checkedAt = this.#heardAt;
    this.#schedule();
  }

  /** A sign of life, or the beginning of a wait for one. */
  heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(checkMs, () => {
      if (this.#check()) this.#schedule();
    });
  }

  #check(): boolean {
    const { clock, limitMs, onStall } = this.#options;
    const now = clock.monotonic();
    // This process itself stood still: signs of life may wait to be read.
    if (now - this.#checkedAt > 4 * checkMs) this.#heardAt = now;
    this.#checkedAt = now;
    const limit = limitMs();
    if (limit === undefined) this.#heardAt = now;
    else if (now - this.#heardAt > limit) {
      onStall(now - this.#heardAt);
      return false;
    }
    return true;
  }
}
