import type { Clock } from '../../../time/clock.ts';
import { unlessAborted } from '../../../time/unless-aborted.ts';

/** Milliseconds after which one that waits has its turn, whoever else has one. */
const longestWaitMs = 80_000;

/** Turns of those that are to run apart from each other: some at a time, first come, first served. */
export class Turns {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #waiting = new Set<() => void>();
  #places = 1;
  #taken = 0;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** How many have a turn at a time from now on. */
  set places(places: number) {
    this.#places = places;
    this.#next();
  }

  /**
   * Waits for a turn, 80 seconds at most. It is over when the result is called, or after `ms`.
   * @throws the reason of the signal
   */
  async take(ms: number, signal: AbortSignal): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      if (!this.#waiting.delete(go)) this.#taken -= 1;
      this.#next();
    };
    const go = (): void => {
      if (!this.#waiting.delete(go)) return;
      this.#taken += 1;
      resolve();
    };
    this.#waiting.add(go);
    this.#next();
    const cancelWait = this.#clock.after(longestWaitMs, go);
    try {
      await unlessAborted(promise, signal);
    } catch (error) {
      over();
      throw error;
    } finally {
      cancelWait();
    }
    const cancelTurn = this.#clock.after(ms, over);
    return () => {
      cancelTurn();
      over();
    };
  }

  #next(): void {
    for (const go of this.#waiting) {
      if (this.#taken >= this.#places) return;
      go();
    }
  }
}
