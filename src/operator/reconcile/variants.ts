import type { ObjectKey } from '../../api/names.ts';
import { Bits } from './bits.ts';

/** What some runtimes say alike of one object. */
export type Variant<T> = { readonly value: T; readonly runtimes: Bits };

/** What each runtime says of each object, by what is said: how many say it is known without asking each. */
export class Variants<T> {
  readonly #of = new Map<ObjectKey, Variant<T>[]>();
  readonly #isSame: (a: T, b: T) => boolean;

  constructor(isSame: (a: T, b: T) => boolean) {
    this.#isSame = isSame;
  }

  of(key: ObjectKey): readonly Variant<T>[] {
    return this.#of.get(key) ?? [];
  }

  /** `runtime`: its number. Undefined: it says nothing of the object. */
  set(key: ObjectKey, runtime: number, value: T | undefined): void {
    const all = this.#of.get(key) ?? [];
    const before = all.findIndex(({ runtimes }) => runtimes.has(runtime));
    const was = all[before];
    if (was !== undefined) {
      if (value !== undefined && this.#isSame(was.value, value)) return;
      this.#drop(key, all, before, runtime);
    }
    if (value === undefined) return;
    const same = all.find((known) => this.#isSame(known.value, value));
    if (same !== undefined) return same.runtimes.add(runtime);
    const runtimes = new Bits();
    runtimes.add(runtime);
    all.push({ value, runtimes });
    this.#of.set(key, all);
  }

  /** It says nothing of anything any more. Takes a look at every object. */
  clear(runtime: number): void {
    for (const key of this.#of.keys()) this.set(key, runtime, undefined);
  }

  #drop(key: ObjectKey, all: Variant<T>[], at: number, runtime: number): void {
    const variant = all[at];
    variant?.runtimes.delete(runtime);
    if (variant?.runtimes.size === 0) all.splice(at, 1);
    if (all.length === 0) this.#of.delete(key);
  }
}
