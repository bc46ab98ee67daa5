import type { CacheMaker } from './simulate.ts';
import type { Item } from './trace.ts';

/** Keys in order of use, with their bytes. The first is the least recently used. */
export class Recency {
  readonly #items = new Map<string, Item>();
  bytes = 0;

  has(key: string): boolean {
    return this.#items.has(key);
  }
  get size(): number {
    return this.#items.size;
  }
  get oldest(): Item | undefined {
    return this.#items.values().next().value;
  }
  values(): IterableIterator<Item> {
    return this.#items.values();
  }

  /** To the recent end. */
  put(item: Item): void {
    this.take(item.key);
    this.#items.set(item.key, item);
    this.bytes += item.bytes;
  }
  take(key: string): Item | undefined {
    const item = this.#items.get(key);
    if (item === undefined) return undefined;
    this.#items.delete(key);
    this.bytes -= item.bytes;
    return item;
  }
  takeOldest(): Item | undefined {
    const { oldest } = this;
    return oldest === undefined ? undefined : this.take(oldest.key);
  }
}

/** The least recently used leaves. */
export const lruCache: CacheMaker = ({ capacityBytes }) => {
  const kept = new Recency();
  return {
    request(item) {
      const hit = kept.has(item.key);
      kept.put(item);
      while (kept.bytes > capacityBytes) kept.takeOldest();
      return hit;
    },
  };
};
