import { type FairQueue, overdueMs } from '../schedule/fair-queue.ts';
import { minTokens } from '../schedule/preemption.ts';
import type { Batch, Entry, Schedulable } from './schedulable.ts';

export type AloneTurnParts<S> = {
  readonly queue: FairQueue<Entry<S>>;
  readonly running: readonly Entry<S>[];
  readonly batch: Batch<S>;
  /** Milliseconds. */
  readonly now: () => number;
};

/**
 * The turn of a request that has no room beside what is guaranteed to other namespaces. While it waits, once it is overdue, nobody
 * else begins; and then nobody does until its prompt is computed and it gave some tokens, or its caller does not take them.
 *
 * One has a turn at a time, and none begins within {@link overdueMs} of the last one: guarantees hold between them.
 */
export class AloneTurn<S extends Schedulable> {
  readonly #parts: AloneTurnParts<S>;
  #whose: Entry<S> | undefined;
  #endedAt = -Infinity;

  constructor(parts: AloneTurnParts<S>) {
    this.#parts = parts;
  }

  /** Whose turn it is; nobody else may begin. */
  get whose(): Entry<S> | undefined {
    if (this.#whose !== undefined && !this.#goesOn(this.#whose)) {
      this.#whose = undefined;
      this.#endedAt = this.#parts.now();
    }
    return this.#whose;
  }

  /** One that waits found no room, and gets the turn if it needs one: true when it is its own. */
  beginWaiting(entry: Entry<S>): boolean {
    if (this.whose === entry) return true;
    const { queue, running, batch } = this.#parts;
    if (!entry.sequence.runnable || !queue.isOverdue(entry)) return false;
    const sure = running.filter(({ flow }) => isGuaranteed(entry, flow)).map(({ sequence }) => sequence);
    return !batch.fitsBeside(entry.sequence, sure) && this.#begin(entry);
  }

  /** One that is about to have a place has it only in that of what others keep for sure: it may compute before they have it back. */
  beginRunning(entry: Entry<S>): void {
    this.#begin(entry);
  }

  #begin(entry: Entry<S>): boolean {
    const { now } = this.#parts;
    if (this.whose === undefined && now() - this.#endedAt > overdueMs) this.#whose = entry;
    return this.#whose === entry;
  }

  #goesOn(entry: Entry<S>): boolean {
    const { sequence, tokens } = entry;
    if (!sequence.runnable) return false;
    if (this.#parts.running.includes(entry)) return sequence.pending > 1 || tokens < minTokens;
    return this.#parts.queue.isOverdue(entry);
  }
}

/** Rows of other namespaces to which something is guaranteed: there may be as many again whenever one of them ends. */
const isGuaranteed = <S>(
  { flow: own }: Entry<S>,
  { namespace, guaranteed = 0, kvGuaranteed = 0 }: Entry<S>['flow'],
): boolean => namespace !== own.namespace && (guaranteed > 0 || kvGuaranteed > 0);
