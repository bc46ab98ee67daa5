import type { ObjectKey } from '../../api/names.ts';
import { isSameList, isSameState } from '../../control/same-state.ts';
import type { AdapterState } from './fleet.ts';

/** One state of one adapter, there once for all runtimes that say it. Nobody changes it. */
export type Cell = {
  readonly id: number;
  readonly name: Name;
  readonly state: AdapterState;
  /** Runtimes that say it. */
  users: number;
};

/** An adapter of which a runtime says something. */
export type Name = {
  readonly key: ObjectKey;
  /** 32 bits, another one for each adapter. */
  readonly hash: number;
  /** States in which others may find theirs: the usual ones, and some messages. */
  readonly known: Cell[];
  /** All that there are of it. */
  cells: number;
};

/** Different states of one adapter among which the same one is looked for. */
const maxKnown = 8;
/** 2^32 by the golden ratio: numbers in a row are far from each other. */
const golden = 0x9e3779b1;

/**
 * What runtimes say of adapters, each state once, by a number. Nearly all runtimes say the same of an adapter, so a runtime
 * has four bytes for it in place of the state.
 *
 * A cell is there as long as a runtime says it, and its number is another one's then.
 */
export class Cells {
  readonly #names = new Map<ObjectKey, Name>();
  /** By number; none has 0. */
  readonly #cells: (Cell | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #named = 0;

  /** Cells that there are. */
  get size(): number {
    return this.#cells.length - 1 - this.#free.length;
  }

  name(key: ObjectKey): Name | undefined {
    return this.#names.get(key);
  }

  /** Undefined: no runtime says it any more. */
  at(id: number): Cell | undefined {
    return this.#cells[id];
  }

  /** The cell of that state, for one more runtime. */
  take(key: ObjectKey, state: AdapterState): Cell {
    const name = this.#names.get(key) ?? this.#add(key);
    const cell = name.known.find((each) => isSameState(each.state, state)) ?? this.#make(name, state);
    cell.users += 1;
    return cell;
  }

  /** A runtime that said it does not any more. */
  release(cell: Cell): void {
    cell.users -= 1;
    if (cell.users > 0) return;
    const { id, name } = cell;
    this.#cells[id] = undefined;
    this.#free.push(id);
    const at = name.known.indexOf(cell);
    if (at >= 0) name.known.splice(at, 1);
    name.cells -= 1;
    if (name.cells === 0) this.#names.delete(name.key);
  }

  #add(key: ObjectKey): Name {
    this.#named = (this.#named + 1) >>> 0;
    const name: Name = { key, hash: Math.imul(this.#named, golden) >>> 0, known: [], cells: 0 };
    this.#names.set(key, name);
    return name;
  }

  #make(name: Name, state: AdapterState): Cell {
    const { known } = name;
    const like = known.find((each) => each.state.uid === state.uid && each.state.digest === state.digest);
    const modules = known.find((each) => isSameList(each.state.targetModules, state.targetModules));
    const { uid, digest } = like?.state ?? state;
    const { targetModules } = modules?.state ?? state;
    const id = this.#free.pop() ?? this.#cells.length;
    const cell: Cell = { id, name, state: { ...state, uid, digest, targetModules }, users: 0 };
    this.#cells[id] = cell;
    name.cells += 1;
    if (known.push(cell) > maxKnown) known.shift();
    return cell;
  }
}
