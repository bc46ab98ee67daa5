import type { Entry } from './entry.ts';
import { byUrgency } from './urgency.ts';

/**
 * Bounds how many adapters do the same thing at once; whoever is most urgent when a place frees goes next. At most one
 * place per adapter, so that the queue is bounded by the number of adapters.
 */
export class Lane {
  readonly #places: number;
  readonly #waiting = new Map<Entry, () => void>();
  #taken = 0;

  constructor(places: number) {
    this.#places = places;
  }

  /** Runs `work` in a place of the lane. Errors: those of the work, or the reason of the signal while it waits. */
  async run<T>(entry: Entry, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(entry, signal);
    try {
      return await work();
    } finally {
      this.#taken -= 1;
      this.#next();
    }
  }

  #enter(entry: Entry, signal: AbortSignal): Promise<void> {
    if (this.#taken < this.#places) {
      this.#taken += 1;
      return Promise.resolve();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => {
      this.#waiting.delete(entry);
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#waiting.set(entry, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    return promise;
  }

  #next(): void {
    const [first] = [...this.#waiting.keys()].sort(byUrgency);
    if (first === undefined || this.#taken >= this.#places) return;
    this.#taken += 1;
    const go = this.#waiting.get(first);
    this.#waiting.delete(first);
    go?.();
  }
}
