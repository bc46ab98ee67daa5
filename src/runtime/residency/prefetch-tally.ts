export type PrefetchTier = 'disk' | 'ram';

/** An adapter, and the bytes of it that were prefetched and not used since. */
type Prefetched = { readonly spare: Map<PrefetchTier, number> };

/** Bytes of what was prefetched to a tier, and how often it was used there. */
export type PrefetchTotals = {
  readonly broughtBytes: number;
  /** Of what left unused. */
  readonly wastedBytes: number;
  /** Adapters that were used for the first time after. */
  readonly hits: number;
};

/** Counts what came of prefetches. Each is at most one of used and wasted; what is neither waits for its first use. */
export class PrefetchTally {
  readonly #totals = {
    disk: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
    ram: { broughtBytes: 0, wastedBytes: 0, hits: 0 },
  };

  get totals(): Readonly<Record<PrefetchTier, PrefetchTotals>> {
    return { disk: { ...this.#totals.disk }, ram: { ...this.#totals.ram } };
  }

  brought(entry: Prefetched, tier: PrefetchTier, bytes: number): void {
    this.left(entry, tier);
    entry.spare.set(tier, bytes);
    this.#totals[tier].broughtBytes += bytes;
  }

  used({ spare }: Prefetched): void {
    for (const tier of spare.keys()) this.#totals[tier].hits += 1;
    spare.clear();
  }

  /** It is not there any more. */
  left({ spare }: Prefetched, tier: PrefetchTier): void {
    this.#totals[tier].wastedBytes += spare.get(tier) ?? 0;
    spare.delete(tier);
  }
}
