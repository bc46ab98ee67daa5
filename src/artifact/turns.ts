import { unlessAborted } from '../time/unless-aborted.ts';

/** Work that is about one thing, one piece at a time; that of different things goes on side by side. */
export class Turns<K> {
  readonly #last = new Map<K, Promise<void>>();

  /** Does the work once all that came before it for `key` is over, however that ended. Errors: the reason of `signal`. */
  async take<T>(key: K, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    // Also when this one gives up: whoever comes next still waits for those before.
    const turn = before.then(() => promise);
    this.#last.set(key, turn);
    try {
      await (signal === undefined ? before : unlessAborted(before, signal));
      return await work();
    } finally {
      resolve();
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }
}
