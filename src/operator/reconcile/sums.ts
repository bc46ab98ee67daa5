import type { Bits } from './bits.ts';

/** Requests that each arm of a rollout answered. */
export type Served = { readonly stable: number; readonly canary: number };

const nothing: Served = { stable: 0, canary: 0 };

/**
 * What runtimes that say the same counted, and the sum of it: kept up with each of them, and exact whatever they claim, so that
 * nothing is left of one that goes.
 */
export class Sums {
  #each: Map<number, Served> | undefined;
  #stable = 0n;
  #canary = 0n;

  /** Undefined: it counted nothing. */
  set(runtime: number, served: Served | undefined): void {
    const before = this.#each?.get(runtime) ?? nothing;
    const { stable, canary } = served ?? nothing;
    if (before.stable === stable && before.canary === canary) return;
    this.#stable += BigInt(stable) - BigInt(before.stable);
    this.#canary += BigInt(canary) - BigInt(before.canary);
    if (served !== undefined && stable + canary > 0) (this.#each ??= new Map()).set(runtime, served);
    else this.#each?.delete(runtime);
  }

  /** Of some of `all`, which are those that are counted here. Looks at those that are asked for, or at the others if they are fewer. */
  of(some: Bits, all: Bits): readonly [stable: bigint, canary: bigint] {
    if (this.#each === undefined) return [0n, 0n];
    if (some.size * 2 <= all.size) return this.#over(some);
    const [stable, canary] = this.#over(all.without(some));
    return [this.#stable - stable, this.#canary - canary];
  }

  #over(runtimes: Bits): readonly [bigint, bigint] {
    let [stable, canary] = [0n, 0n];
    for (const runtime of runtimes) {
      const served = this.#each?.get(runtime);
      if (served === undefined) continue;
      stable += BigInt(served.stable);
      canary += BigInt(served.canary);
    }
    return [stable, canary];
  }
}
