import type { ObjectKey } from '../../api/names.ts';
import type { Cell, Cells } from './cells.ts';
import type { AdapterState } from './fleet.ts';

const least = 8;

/**
 * What one runtime says of adapters: numbers of cells in a hash table with linear probing, 5.3 to 10.7 bytes for an adapter.
 * Reads as a Map; the order of its entries is none.
 */
export class AdapterTable implements ReadonlyMap<ObjectKey, AdapterState> {
  readonly #cells: Cells;
  /** At most three quarters of them are used; 0: free. */
  #slots = new Uint32Array(least);
  #size = 0;
  #changes = 0;

  constructor(cells: Cells) {
    this.#cells = cells;
  }

  get size(): number {
    return this.#size;
  }

  /** Grows whenever it says something else than before. */
  get changes(): number {
    return this.#changes;
  }

  /** Bytes of its slots. */
  get bytes(): number {
    return this.#slots.byteLength;
  }

  get(key: ObjectKey): AdapterState | undefined {
    return this.#cellAt(this.#slotOf(key))?.state;
  }

  has(key: ObjectKey): boolean {
    return this.#cellAt(this.#slotOf(key)) !== undefined;
  }

  /** Returns the key and the state as others have them. */
  set(key: ObjectKey, state: AdapterState): Cell {
    const slot = this.#slotOf(key);
    const before = this.#cellAt(slot);
    const cell = this.#cells.take(key, state);
    if (before !== cell) this.#changes += 1;
    if (before !== undefined) {
      this.#slots[slot] = cell.id;
      this.#cells.release(before);
      return cell;
    }
    if ((this.#size + 1) * 4 > this.#slots.length * 3) this.#resize(this.#slots.length * 2);
    this.#put(cell);
    this.#size += 1;
    return cell;
  }

  /** The key as others have it; undefined: it was not there. */
  delete(key: ObjectKey): ObjectKey | undefined {
    const slot = this.#slotOf(key);
    const cell = this.#cellAt(slot);
    if (cell === undefined) return undefined;
    this.#close(slot);
    this.#size -= 1;
    this.#changes += 1;
    this.#cells.release(cell);
    const { length } = this.#slots;
    if (length > least && this.#size * 4 < length) this.#resize(length / 2);
    return cell.name.key;
  }

  /** Lets go of everything: to be called before the table itself is let go. */
  clear(): void {
    for (const cell of this.#all()) this.#cells.release(cell);
    this.#slots = new Uint32Array(least);
    this.#size = 0;
    this.#changes += 1;
  }

  *entries(): Generator<[ObjectKey, AdapterState], undefined> {
    for (const { name, state } of this.#all()) yield [name.key, state];
  }
  *keys(): Generator<ObjectKey, undefined> {
    for (const [key] of this.entries()) yield key;
  }
  *values(): Generator<AdapterState, undefined> {
    for (const [, state] of this.entries()) yield state;
  }
  [Symbol.iterator](): Generator<[ObjectKey, AdapterState], undefined> {
    return this.entries();
  }
  forEach(
    each: (value: AdapterState, key: ObjectKey, map: ReadonlyMap<ObjectKey, AdapterState>) => void,
  ): void {
    for (const [key, state] of this) each(state, key, this);
  }

  #cellAt(slot: number): Cell | undefined {
    return this.#cells.at(this.#slots[slot] ?? 0);
  }

  /** As they are now, whatever changes while somebody goes through them. */
  #all(): Cell[] {
    const all: Cell[] = [];
    for (const id of this.#slots) {
      const cell = this.#cells.at(id);
      if (cell !== undefined) all.push(cell);
    }
    return all;
  }

  /** Where it is; -1: nowhere. */
  #slotOf(key: ObjectKey): number {
    const name = this.#cells.name(key);
    if (name === undefined) return -1;
    const last = this.#slots.length - 1;
    for (let slot = name.hash & last; ; slot = (slot + 1) & last) {
      const cell = this.#cellAt(slot);
      if (cell === undefined) return -1;
      if (cell.name === name) return slot;
    }
  }

  #put({ id, name }: Cell): void {
    const last = this.#slots.length - 1;
    let slot = name.hash & last;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & last;
    this.#slots[slot] = id;
  }

  /** Frees a slot, and moves those behind it that were kept from a better one. */
  #close(slot: number): void {
    const last = this.#slots.length - 1;
    let hole = slot;
    for (let next = (hole + 1) & last; ; next = (next + 1) & last) {
      const cell = this.#cellAt(next);
      if (cell === undefined) break;
      const wanted = cell.name.hash & last;
      // It may go to the hole unless its own slot is behind that.
      if (((next - wanted) & last) < ((next - hole) & last)) continue;
      this.#slots[hole] = cell.id;
      hole = next;
    }
    this.#slots[hole] = 0;
  }

  #resize(length: number): void {
    const all = this.#all();
    this.#slots = new Uint32Array(length);
    for (const cell of all) this.#put(cell);
  }
}
