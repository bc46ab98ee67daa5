import type { ObjectKey } from '../../api/names.ts';
import { Bits } from './bits.ts';
import { Sums } from './sums.ts';

/** What some runtimes say alike of one object, and the sum of what each of them counted. */
export type Variant<T> = { readonly value: T; readonly runtimes: Bits; readonly sums: Sums };

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

  /** `runtime`: its number. `value`: undefined: it says nothing of the object. `counted`: undefined: nothing. */
  set(key: ObjectKey, runtime: number, value: T | undefined, counted?: Parameters<Sums['set']>[1]): void {
    const all = this.#of.get(key) ?? [];
    const before = all.findIndex(({ runtimes }) => runtimes.has(runtime));
    const was = all[before];
    if (was !== undefined) {
      if (value !== undefined && this.#isSame(was.value, value)) return was.sums.set(runtime, counted);
      this.#drop(key, all, before, runtime);
    }
    if (value === undefined) return;
    let variant = all.find((known) => this.#isSame(known.value, value));
    if (variant === undefined) {
      variant = { value, runtimes: new Bits(), sums: new Sums() };
      all.push(variant);
      this.#of.set(key, all);
    }
    variant.runtimes.add(runtime);
    variant.sums.set(runtime, counted);
  }

  /** It says nothing of anything any more. Takes a look at every object. */
  clear(runtime: number): void {
    for (const key of this.#of.keys()) this.set(key, runtime, undefined);
  }

  #drop(key: ObjectKey, all: Variant<T>[], at: number, runtime: number): void {
    const variant = all[at];
    variant?.sums.set(runtime, undefined);
    variant?.runtimes.delete(runtime);
    if (variant?.runtimes.size === 0) all.splice(at, 1);
    if (all.length === 0) this.#of.delete(key);
  }
}
