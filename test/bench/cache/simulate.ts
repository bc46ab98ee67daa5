import type { Item, Trace } from './trace.ts';

/**
 * A cache that every request passes through: what is asked for is in it afterwards, as a request of a runtime is always
 * served. Whether it stays is up to the policy.
 */
export type Cache = {
  /** True when the adapter was in the cache. */
  request(item: Item): boolean;
};

/** Made anew for each trace; only the offline bound looks at its future. */
export type CacheMaker = (trace: Trace) => Cache;

export type Outcome = {
  readonly hitRatio: number;
  /** Bytes that were loaded over bytes that were asked for. */
  readonly byteMissRatio: number;
  /** Milliseconds of reloading for an average request. */
  readonly missMs: number;
};

/** What the requests after the first `warmUp` met. */
export const simulate = (trace: Trace, make: CacheMaker, warmUp: number): Outcome => {
  const cache = make(trace);
  let [asked, hits, bytesAsked, bytesLoaded, ms] = [0, 0, 0, 0, 0];
  for (const [at, item] of trace.requests.entries()) {
    const hit = cache.request(item);
    if (at < warmUp) continue;
    asked += 1;
    bytesAsked += item.bytes;
    if (hit) {
      hits += 1;
      continue;
    }
    bytesLoaded += item.bytes;
    ms += item.reloadMs;
  }
  return { hitRatio: hits / asked, byteMissRatio: bytesLoaded / bytesAsked, missMs: ms / asked };
};
