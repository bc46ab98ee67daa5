import type { ObjectKey } from '../../api/names.ts';
import { Bits } from './bits.ts';

/** Numbers of runtimes that said something, from the mark `start` on. */
type Log = { start: number; numbers: number[]; isRead: boolean };

/** Entries of a log for each runtime, and at least, before it begins anew. */
const [entriesEach, leastEntries] = [2, 64] as const;

/**
 * Which runtimes said something new of a rollout that somebody reads about: a reader gives the mark up to which it read, and
 * is told who said something since. Costs what these are. What nobody reads any more is forgotten.
 */
export class News {
  readonly #logs = new Map<ObjectKey, Log>();
  /** Above all marks of logs that are gone. */
  #free = 0;

  /** `runtimes`: how many there are. */
  add(key: ObjectKey, runtime: number, runtimes: number): void {
    const log = this.#logs.get(key);
    if (log === undefined) return;
    if (log.numbers.length >= Math.max(leastEntries, entriesEach * runtimes)) {
      const end = log.start + log.numbers.length;
      if (!log.isRead) {
        this.#logs.delete(key);
        this.#free = Math.max(this.#free, end + 1);
        return;
      }
      Object.assign(log, { start: end, numbers: [], isRead: false });
    }
    log.numbers.push(runtime);
  }

  /** Whatever it says may be other than before. */
  addToAll(runtime: number, runtimes: number): void {
    for (const key of this.#logs.keys()) this.add(key, runtime, runtimes);
  }

  /** `mark`: where to go on. `runtimes`: those with news; undefined: nobody knows. */
  since(
    key: ObjectKey,
    mark: number | undefined,
  ): { readonly mark: number; readonly runtimes: Bits | undefined } {
    const log = this.#logs.get(key) ?? { start: this.#free, numbers: [], isRead: true };
    this.#logs.set(key, log);
    log.isRead = true;
    const { start, numbers } = log;
    const end = start + numbers.length;
    if (mark === undefined || mark < start || mark > end) return { mark: end, runtimes: undefined };
    const runtimes = new Bits();
    for (const number of numbers.slice(mark - start)) runtimes.add(number);
    return { mark: end, runtimes };
  }
}
