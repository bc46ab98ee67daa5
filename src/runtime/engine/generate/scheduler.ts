import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { Exclusive } from '../exclusive.ts';
import type { Sequence } from './sequence.ts';

/** How a sequence ended: complete, cancelled, or with an error. */
export type Ending =
  | { readonly kind: 'complete' | 'cancelled' }
  | { readonly kind: 'failed'; readonly error: unknown };

/** What the scheduler needs of a sequence. */
export type Schedulable = Pick<
  Sequence,
  'id' | 'adapter' | 'cancelled' | 'runnable' | 'cancel' | 'taken' | 'step'
>;

export type SchedulerOptions = {
  /** Sequences that take turns, and sequences that wait for a place among them. */
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly steps: Exclusive;
};

type Entry = { readonly sequence: Schedulable; readonly ended: (ending: Ending) => void };

/** Milliseconds after which a refused request may find a place. */
const retryAfterMs = 1000;

/**
 * Gives each active sequence one step in turn. A sequence whose caller does not take its events sits out, but keeps
 * its place. Waiting ones follow in the order in which they came.
 *
 * Guarantees: `ended` is called once per sequence, and no step of it runs after that.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #active: Entry[] = [];
  readonly #waiting: Entry[] = [];
  #pumping = false;
  #stopped = false;
  /** Adapter of the step before; undefined before the first. */
  #last: LoadedAdapter | null | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#active.length + this.#waiting.length;
  }

  /** Errors: QUEUE_FULL, ENGINE_DOWN after `stop`, before anything was done. */
  submit(sequence: Schedulable, ended: (ending: Ending) => void): void {
    const { maxConcurrent, maxQueue } = this.#options;
    if (this.#stopped) throw new AdaptletError('ENGINE_DOWN', 'The engine is closing');
    if (this.size >= maxConcurrent + maxQueue) {
      throw new AdaptletError('QUEUE_FULL', `${this.size} requests run or wait in the engine`, {
        retryAfterMs,
      });
    }
    this.#waiting.push({ sequence, ended });
    this.#wake();
  }

  /** Ends it, within its present step. */
  cancel(id: number): void {
    this.#find(id)?.sequence.cancel();
    this.#wake();
  }

  taken(id: number, events: number): void {
    this.#find(id)?.sequence.taken(events);
    this.#wake();
  }

  /** Cancels everything; nothing runs after the present step. */
  stop(): void {
    this.#stopped = true;
    for (const { sequence } of [...this.#active, ...this.#waiting]) sequence.cancel();
    this.#wake();
  }

  #find(id: number): Entry | undefined {
    return [...this.#active, ...this.#waiting].find(({ sequence }) => sequence.id === id);
  }

  #wake(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // A step never rejects: it reports through `ended`. What comes here is a defect and ends the process.
    void this.#pump();
  }

  async #pump(): Promise<void> {
    for (;;) {
      this.#dropCancelled();
      this.#fill();
      const entry = this.#active.find(({ sequence }) => sequence.runnable);
      if (entry === undefined) break;
      await this.#step(entry);
    }
    this.#pumping = false;
  }

  #dropCancelled(): void {
    for (const list of [this.#active, this.#waiting]) {
      for (const entry of list.filter(({ sequence }) => sequence.cancelled)) {
        this.#remove(list, entry);
        entry.ended({ kind: 'cancelled' });
      }
    }
  }

  #fill(): void {
    while (!this.#stopped && this.#active.length < this.#options.maxConcurrent) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#active.push(next);
    }
  }

  async #step(entry: Entry): Promise<void> {
    const { sequence, ended } = entry;
    try {
      const complete = await this.#options.steps.run(async () => {
        const switched = this.#last !== undefined && this.#last !== sequence.adapter;
        this.#last = sequence.adapter;
        return await sequence.step(switched);
      });
      // To the end of the row, behind those who came during the step.
      if (!complete) this.#fill();
      this.#remove(this.#active, entry);
      if (complete) ended({ kind: 'complete' });
      else this.#active.push(entry);
    } catch (error) {
      this.#remove(this.#active, entry);
      ended(sequence.cancelled ? { kind: 'cancelled' } : { kind: 'failed', error });
    }
  }

  #remove(list: Entry[], entry: Entry): void {
    const index = list.indexOf(entry);
    if (index >= 0) list.splice(index, 1);
  }
}
