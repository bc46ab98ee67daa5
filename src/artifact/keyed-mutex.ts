import { unlessAborted } from '../time/unless-aborted.ts';

/** Work on one key runs one piece at a time, in the order of the calls; work on different keys runs side by side. */
export class KeyedMutex<K> {
  readonly #last = new Map<K, Promise<void>>();

  /**
   * Does the work once all that came before it for `key` is over, however that ended.
   * @throws the reason of `signal`
   */
  async runExclusive<T>(key: K, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    // Also when this one gives up: whoever comes next still waits for those before.
    const last = before.then(() => promise);
    this.#last.set(key, last);
    try {
      await (signal === undefined ? before : unlessAborted(before, signal));
      return await work();
    } finally {
      resolve();
      void this.#forget(key, last);
    }
  }

  /** Once nobody before it runs: who gave up was not the last one to be waited for. */
  async #forget(key: K, last: Promise<void>): Promise<void> {
    await last;
    if (this.#last.get(key) === last) this.#last.delete(key);
  }
}
