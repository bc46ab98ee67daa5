import { namespaceOf } from '../../api/names.ts';
import type { Entry } from './entry.ts';
import { byUrgency, Turns } from './urgency.ts';

/**
 * Bounds how many adapters do the same thing at once; whoever is most urgent when a place frees goes next, of what
 * requests wait for with namespaces in turns. At most one
 * place in the queue per adapter, so that the queue is bounded by the number of adapters.
 *
 * An adapter under which the engine process ended takes all places: when it ends again, nobody else is suspected. Where a
 * namespace may take only some, it takes those.
 */
export class PrioritySemaphore {
  readonly #places: number;
  readonly #placesOfNamespace: number;
  readonly #waiting = new Map<Entry, (places: number) => void>();
  readonly #turns = new Turns();
  readonly #takenBy = new Map<string, number>();
  #taken = 0;

  constructor(places: number, placesOfNamespace = places) {
    this.#places = places;
    this.#placesOfNamespace = placesOfNamespace;
  }

  /**
   * Runs `work` in a place of the semaphore.
   * @throws those of the work, or the reason of the signal while it waits
   */
  async run<T>(entry: Entry, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const taken = await this.#enter(entry, signal);
    try {
      return await work();
    } finally {
      this.#take(entry, -taken);
      this.#next();
    }
  }

  #take({ key }: Entry, places: number): void {
    const namespace = namespaceOf(key);
    const left = (this.#takenBy.get(namespace) ?? 0) + places;
    if (left > 0) this.#takenBy.set(namespace, left);
    else this.#takenBy.delete(namespace);
    this.#taken += places;
  }

  #enter(entry: Entry, signal: AbortSignal): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const abort = () => {
      this.#waiting.delete(entry);
      reject(signal.reason);
      this.#next();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#waiting.set(entry, (places) => {
      signal.removeEventListener('abort', abort);
      resolve(places);
    });
    this.#next();
    return promise;
  }

  #next(): void {
    const full = new Set<string>();
    for (const entry of this.#turns.sort([...this.#waiting.keys()].sort(byUrgency))) {
      const namespace = namespaceOf(entry.key);
      const needed = isSuspect(entry) ? this.#placesOfNamespace : 1;
      // Those behind wait as well, or one that needs all places would never get them.
      if ((this.#takenBy.get(namespace) ?? 0) + needed > this.#placesOfNamespace) full.add(namespace);
      if (full.has(namespace)) continue;
      if (this.#taken + needed > this.#places) return;
      this.#take(entry, needed);
      this.#turns.took(entry);
      const go = this.#waiting.get(entry);
      this.#waiting.delete(entry);
      go?.(needed);
    }
  }
}

const isSuspect = (entry: Entry): boolean => entry.engineDeaths > 0;
