/** A map that holds a number of entries at most; the one that was not used for longest goes first. */
export class RecentMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #max: number;
  readonly #onDrop: (value: V) => void;

  constructor(max: number, onDrop: (value: V) => void = () => {}) {
    this.#max = max;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    for (const [oldest, dropped] of this.#entries) {
      if (this.#entries.size <= this.#max) return;
      this.#entries.delete(oldest);
      this.#onDrop(dropped);
    }
  }

  values(): Iterable<V> {
    return this.#entries.values();
  }
}
