import type { Clock } from '../../time/clock.ts';
import type { Table } from './table.ts';

/**
 * How long a table is kept: as long as a replica knows what a runtime held that left. Where all of them come back at once, what changed
 * meanwhile is compared with what they hold, and not the whole of a plan that was compiled anew with it.
 */
const keptMs = 60_000;
/** Most of them, and resources in them; one is kept however many it has. Whoever serves another model each time leaves many. */
const most = { tables: 16, resources: 20_000 };

type Kept = Pick<Table, 'size'>;

/** Tables that nobody follows any more. Nothing is compiled for them: what most runtimes have is not known before somebody follows. */
export class KeptTables<T extends Kept = Table> {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #drop: (table: T) => void;
  /** The oldest first, with what keeps each from being dropped. */
  readonly #tables = new Map<T, () => void>();

  /** `drop` is called for each that is kept no longer. */
  constructor(clock: Pick<Clock, 'after'>, drop: (table: T) => void) {
    this.#clock = clock;
    this.#drop = drop;
  }

  keep(table: T): void {
    this.take(table);
    this.#tables.set(
      table,
      this.#clock.after(keptMs, () => this.#end(table)),
    );
    let resources = [...this.#tables.keys()].reduce((sum, { size }) => sum + size, 0);
    for (const oldest of this.#tables.keys()) {
      const isMuch = this.#tables.size > most.tables || resources > most.resources;
      if (!isMuch || oldest === table) return;
      resources -= oldest.size;
      this.#end(oldest);
    }
  }

  /** Somebody follows it. */
  take(table: T): void {
    this.#tables.get(table)?.();
    this.#tables.delete(table);
  }

  close(): void {
    for (const stop of this.#tables.values()) stop();
    this.#tables.clear();
  }

  #end(table: T): void {
    this.take(table);
    this.#drop(table);
  }
}
