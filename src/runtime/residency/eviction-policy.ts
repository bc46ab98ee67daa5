/** An adapter in RAM that could leave. */
export type Evictable = {
  readonly key: string;
  /** Of the RAM budget. */
  readonly bytes: number;
  /** Expected milliseconds until it would serve again. */
  readonly reloadMs: number;
};

/**
 * Which adapter is worth its place in RAM least. The last word only: what is protected, in use or of higher priority
 * is decided before. Pure but for what it remembers of the uses it was told; memory is bounded.
 */
export type EvictionPolicy = {
  /** A request begins to use the adapter, which is or was just loaded into RAM. */
  used(key: string): void;
  /** Room is about to be made in RAM, in which so many adapters are now. */
  divided(adapters: number): void;
  /** The lowest leaves first; of equals the least recently used. A newcomer may be worth less than all others. */
  worth(adapter: Evictable): number;
};
