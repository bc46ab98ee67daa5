/** Parts that a map is divided into: a version costs one array of them and the parts that changed. */
const bucketCount = 256;

type Bucket<V> = ReadonlyMap<string, V>;

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv), folded to the number of a bucket. */
const bucketOf = (key: string): number => {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 16)) & (bucketCount - 1);
};

/**
 * A map that never changes. A changed one is another version, which shares with it whatever did not change: it costs what
 * changed, and so does the difference between two versions. Values are compared by reference.
 */
export class SharedMap<V> {
  readonly size: number;
  readonly #buckets: readonly Bucket<V>[];
  readonly #differences = new WeakMap<SharedMap<V>, readonly string[]>();

  private constructor(buckets: readonly Bucket<V>[], size: number) {
    this.#buckets = buckets;
    this.size = size;
  }

  static empty<V>(): SharedMap<V> {
    const none: Bucket<V> = new Map();
    return new SharedMap(
      Array.from({ length: bucketCount }, () => none),
      0,
    );
  }

  get(key: string): V | undefined {
    return this.#buckets[bucketOf(key)]?.get(key);
  }

  /** In no order. */
  *[Symbol.iterator](): Generator<readonly [string, V]> {
    for (const bucket of this.#buckets) yield* bucket;
  }

  /** Undefined takes a key out. The very same map when nothing is another value than before. */
  with(changes: Iterable<readonly [string, V | undefined]>): SharedMap<V> {
    const buckets = [...this.#buckets];
    const copies = new Map<number, Map<string, V>>();
    let { size } = this;
    for (const [key, value] of changes) {
      const index = bucketOf(key);
      const before = (copies.get(index) ?? buckets[index])?.get(key);
      if (before === value) continue;
      let copy = copies.get(index);
      if (copy === undefined) {
        copy = new Map(buckets[index]);
        copies.set(index, copy);
        buckets[index] = copy;
      }
      if (value === undefined) copy.delete(key);
      else copy.set(key, value);
      size += Number(value !== undefined) - Number(before !== undefined);
    }
    return copies.size === 0 ? this : new SharedMap(buckets, size);
  }

  /** Keys at which another version has something else. Computed once for each pair. */
  differing(other: SharedMap<V>): readonly string[] {
    if (other === this) return [];
    let keys = this.#differences.get(other);
    if (keys === undefined) {
      keys = this.#buckets.flatMap((bucket, index) => differing(bucket, other.#buckets[index] ?? new Map()));
      this.#differences.set(other, keys);
    }
    return keys;
  }
}

const differing = <V>(a: Bucket<V>, b: Bucket<V>): string[] =>
  a === b
    ? []
    : [
        ...[...a].flatMap(([key, value]) => (b.get(key) === value ? [] : [key])),
        ...[...b.keys()].filter((key) => !a.has(key)),
      ];
