import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';

export type TurnsOptions = {
  readonly clock: Clock;
  /** Turns that are taken at a time. */
  readonly atOnce: number;
  /** A turn that lasts longer waits for something else, and lets the next one begin. */
  readonly longestMs: number;
  /** Who waited for so long is told to come again. Shorter than a runtime waits for a Welcome. */
  readonly patienceMs: number;
  /** Where so many urgent ones wait, or so many others, one more of them is told at once. */
  readonly maxWaiting: number;
  /** When to come again. The runtime adds up to as much once more, so that those who came together do not stay together. */
  readonly retryAfterMs: number;
};

type Waiter = { readonly begin: () => void };

/**
 * Turns of those who come all at once: so many at a time, urgent ones first, then in the order in which they came.
 *
 * Guarantees: who waits has a turn within `patienceMs` or is told when to come again; a turn that hangs does not keep
 * others from theirs for longer than `longestMs`; however many others wait, an urgent one has a place.
 */
export class Turns {
  readonly #options: TurnsOptions;
  readonly #urgent = new Set<Waiter>();
  readonly #others = new Set<Waiter>();
  #taken = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#urgent.size + this.#others.size;
  }

  /**
   * Resolves when the turn begins, with what ends it.
   * @throws REPLICA_UNAVAILABLE with a time to come again; the reason of the signal
   */
  async take(signal: AbortSignal, isUrgent = false): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken >= this.#options.atOnce) await this.#wait(signal, isUrgent ? this.#urgent : this.#others);
    else this.#taken += 1;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      stopTimer();
      this.#next();
    };
    const stopTimer = this.#options.clock.after(this.#options.longestMs, end);
    return end;
  }

  /** Whose turn it was gives it to the first that waits. */
  #next(): void {
    for (const waiters of [this.#urgent, this.#others]) {
      for (const waiter of waiters) {
        waiter.begin();
        return;
      }
    }
    this.#taken -= 1;
  }

  #wait(signal: AbortSignal, waiters: Set<Waiter>): Promise<void> {
    const { clock, patienceMs, maxWaiting } = this.#options;
    if (waiters.size >= maxWaiting) throw this.#later();
    return new Promise((resolve, reject) => {
      const finish = (how: () => void): void => {
        waiters.delete(waiter);
        stopTimer();
        signal.removeEventListener('abort', aborted);
        how();
      };
      const waiter = { begin: () => finish(resolve) };
      const aborted = (): void => finish(() => reject(signal.reason as Error));
      const stopTimer = clock.after(patienceMs, () => finish(() => reject(this.#later())));
      waiters.add(waiter);
      signal.addEventListener('abort', aborted, { once: true });
    });
  }

  /** What is told to who has no turn now. */
  #later(): AdaptletError {
    const { retryAfterMs } = this.#options;
    return new AdaptletError('REPLICA_UNAVAILABLE', 'many runtimes connect at this moment', {
      advice: 'The runtime goes on with what it holds, and dials again by itself when it was told to.',
      retryAfterMs,
    });
  }
}
