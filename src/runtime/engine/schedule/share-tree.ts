import { VirtualCounters } from './virtual-counters.ts';

/** Whose service it is, from the outermost on. */
export type Path = readonly (string | null)[];

export type Move = 'arrive' | 'leave' | 'start' | 'back' | 'finish';

/** Service of those who share at several levels: each has a counter among its neighbours, and shares its own among those below. */
export class ShareTree {
  readonly #counters = new VirtualCounters<string | null>();
  readonly #below = new Map<string | null, ShareTree>();

  get idle(): boolean {
    return this.#counters.idle;
  }

  /** How much more service one of the outermost that wait had than another one of them. */
  get lag(): number {
    return this.#counters.lag;
  }

  move([key = null, ...rest]: Path, move: Move): void {
    this.#counters[move](key);
    if (rest.length === 0) return;
    const level = this.#below.get(key) ?? new ShareTree();
    level.move(rest, move);
    // Who all were idle for a moment have had what they asked for: they begin as equals.
    if (level.idle) this.#below.delete(key);
    else this.#below.set(key, level);
  }

  /** Below 0: what was charged before and was not done. */
  charge([key = null, ...rest]: Path, cost: number): void {
    this.#counters.charge(key, cost);
    if (rest.length > 0) this.#below.get(key)?.charge(rest, cost);
  }

  /** At the first level where they differ: how much more service the first one had. */
  beyond([a = null, ...restOfA]: Path, [b = null, ...restOfB]: Path): number {
    if (a !== b) return this.#counters.of(a) - this.#counters.of(b);
    return restOfA.length === 0 ? 0 : (this.#below.get(a)?.beyond(restOfA, restOfB) ?? 0);
  }

  /** Of these, those of whoever had least at each of so many levels; of equals whoever comes first. */
  least<E extends { readonly path: Path }>(entries: readonly E[], levels: number, at = 0): readonly E[] {
    if (levels === 0) return entries;
    let least: string | null = null;
    let counter = Infinity;
    for (const { path } of entries) {
      const own = this.#counters.of(path[at] ?? null);
      if (own < counter) [least, counter] = [path[at] ?? null, own];
    }
    const chosen = entries.filter(({ path }) => (path[at] ?? null) === least);
    return this.#below.get(least)?.least(chosen, levels - 1, at + 1) ?? chosen;
  }
}
