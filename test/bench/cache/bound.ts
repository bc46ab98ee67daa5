import type { StoredItem, TieredTrace } from './tiered-trace.ts';

/** From one request of an adapter to its next one: what keeping it meanwhile would take, and what it would be worth. */
type Stay = { readonly byteSteps: number; readonly value: number };

/**
 * The share of value that no cache of so many bytes can pass, by counted requests, which are those from `warmUp` on: PFOO-U of
 * Berger, Beckmann and Harchol-Balter, "Practical bounds on optimal caching with variable object sizes" (SIGMETRICS
 * 2018). Stays are kept in order of value per byte and step until all byte-steps of the cache are taken, the last one in part; that
 * they also fit at each moment is not asked for. So it knows the future, and is above what any policy can do.
 */
export const mostValue = (
  requests: readonly StoredItem[],
  capacityBytes: number,
  warmUp: number,
  valueOf: (item: StoredItem) => number,
): number => {
  const last = new Map<string, number>();
  const stays: Stay[] = [];
  let total = 0;
  for (const [at, item] of requests.entries()) {
    const before = last.get(item.key);
    last.set(item.key, at);
    if (at < warmUp) continue;
    total += valueOf(item);
    // What it took before the first counted request is given to it.
    if (before !== undefined)
      stays.push({ byteSteps: item.bytes * (at - Math.max(before, warmUp)), value: valueOf(item) });
  }
  stays.sort((a, b) => a.byteSteps * b.value - b.byteSteps * a.value);
  let left = capacityBytes * Math.max(0, requests.length - warmUp);
  let kept = 0;
  for (const { byteSteps, value } of stays) {
    if (byteSteps > left) {
      kept += (value * left) / byteSteps;
      break;
    }
    left -= byteSteps;
    kept += value;
  }
  return total === 0 ? 0 : kept / total;
};

/**
 * No policy for RAM over flash is better in any of these. What is in RAM need not be on flash as well: so both together bound what
 * needs no network.
 */
export const boundOf = ({ requests, ramBytes, flashBytes }: TieredTrace, warmUp: number) => {
  const items = requests.map(({ item }) => item);
  const most = (capacityBytes: number, valueOf: (item: StoredItem) => number): number =>
    mostValue(items, capacityBytes, warmUp, valueOf);
  const nearBytes = ramBytes + flashBytes;
  const counted = items.slice(warmUp);
  const mean = (costOf: (item: StoredItem) => number): number =>
    counted.reduce((sum, item) => sum + costOf(item), 0) / counted.length;
  return {
    hitRatio: most(ramBytes, () => 1),
    byteHitRatio: most(ramBytes, ({ bytes }) => bytes),
    nearRatio: most(nearBytes, () => 1),
    nearByteRatio: most(nearBytes, ({ bytes }) => bytes),
    ms:
      (1 - most(ramBytes, ({ reloadMs }) => reloadMs)) * mean(({ reloadMs }) => reloadMs) +
      (1 - most(nearBytes, ({ fetchMs }) => fetchMs)) * mean(({ fetchMs }) => fetchMs),
  };
};
