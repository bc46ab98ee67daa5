/** After so many milliseconds what was done counts half. */
const halfLifeMs = 60_000;
/** Less than this many tokens is nothing. */
const nothing = 0.5;

/** What was done for each of late, in weighted tokens. */
export class AttainedService {
  readonly #of = new Map<string, { value: number; at: number }>();

  add(key: string, cost: number, now: number): void {
    const value = Math.max(0, this.#now(key, now) + cost);
    for (const other of this.#of.keys()) if (this.#now(other, now) < nothing) this.#of.delete(other);
    this.#of.set(key, { value, at: now });
  }

  /** Jain's index of these: 1 when each had as much, 1/n when one of n had all (Jain, Chiu, Hawe, 1984). */
  jain(keys: Iterable<string>, now: number): number {
    const values = [...new Set(keys)].map((key) => this.#now(key, now));
    const sum = values.reduce((all, one) => all + one, 0);
    const squares = values.reduce((all, one) => all + one * one, 0);
    return squares === 0 ? 1 : (sum * sum) / (values.length * squares);
  }

  #now(key: string, now: number): number {
    const known = this.#of.get(key);
    return known === undefined ? 0 : known.value * 2 ** ((known.at - now) / halfLifeMs);
  }
}
