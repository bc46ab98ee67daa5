import { Bits } from './bits.ts';

type Departure = { readonly at: number; readonly runtime: number };

/** When runtimes went away, by their numbers, in the order of time: who went lately is found without a look at the others. */
export class Departures {
  readonly #times = new Map<number, number>();
  readonly #sorted: Departure[] = [];

  /** `at`: wall time in milliseconds; undefined: it is here, or nobody knows when it went. */
  set(runtime: number, at: number | undefined): void {
    const before = this.#times.get(runtime);
    if (before === at) return;
    if (before !== undefined) {
      let place = this.#placeOf(before);
      while (this.#sorted[place]?.runtime !== runtime) place += 1;
      this.#sorted.splice(place, 1);
      this.#times.delete(runtime);
    }
    if (at === undefined) return;
    this.#times.set(runtime, at);
    this.#sorted.splice(this.#placeOf(at), 0, { at, runtime });
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
