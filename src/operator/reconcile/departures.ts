import { Bits } from './bits.ts';

type Departure = { readonly at: number; readonly runtime: number };

/** When runtimes went away, by their numbers, in the order of time: who went lately is found without a look at the others. */
export class Departures {
  readonly #known = new Map<number, Departure>();
  readonly #sorted: Departure[] = [];

  /** `at`: wall time in milliseconds; undefined: it is here, or nobody knows when it went. */
  set(runtime: number, at: number | undefined): void {
    const before = this.#known.get(runtime);
    if (before?.at === at) return;
    if (before !== undefined) this.#sorted.splice(this.#sorted.indexOf(before), 1);
    this.#known.delete(runtime);
    if (at === undefined) return;
    const departure = { at, runtime };
    this.#known.set(runtime, departure);
    this.#sorted.splice(this.#placeOf(at), 0, departure);
  }

  /** Those that went at that time or later. */
  since(time: number): Bits {
    const lately = new Bits();
    for (const { runtime } of this.#sorted.slice(this.#placeOf(time))) lately.add(runtime);
    return lately;
  }

  /** Where the first is that went at that time or later. */
  #placeOf(time: number): number {
    let [from, to] = [0, this.#sorted.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#sorted[middle]?.at ?? 0) < time) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
