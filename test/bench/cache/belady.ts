import type { CacheMaker } from './simulate.ts';
import type { Item } from './trace.ts';

/** For each request the position of the next one for the same adapter. */
const nextUses = (requests: readonly Item[]): readonly number[] => {
  const next = requests.map(() => Number.POSITIVE_INFINITY);
  const seen = new Map<string, number>();
  for (let at = requests.length - 1; at >= 0; at -= 1) {
    const key = requests[at]?.key ?? '';
    next[at] = seen.get(key) ?? Number.POSITIVE_INFINITY;
    seen.set(key, at);
  }
  return next;
};

/**
 * Belady, "A study of replacement algorithms for a virtual-storage computer" (IBM Systems Journal, 1966): knows the
 * future, and what is used again last leaves. No policy has a better hit ratio where sizes are equal. Of different sizes
 * and costs it is no bound: then the most milliseconds until the next use, times bytes, over reload leaves.
 */
export const beladyCache: CacheMaker = ({ capacityBytes, requests }) => {
  const next = nextUses(requests);
  const kept = new Map<string, { readonly item: Item; readonly use: number }>();
  let at = -1;
  let bytes = 0;

  const evict = (): void => {
    let farthest = Number.NEGATIVE_INFINITY;
    let victim: Item | undefined;
    for (const { item, use } of kept.values()) {
      const distance = ((use - at) * item.bytes) / item.reloadMs;
      if (distance > farthest) [farthest, victim] = [distance, item];
    }
    if (victim === undefined) return;
    kept.delete(victim.key);
    bytes -= victim.bytes;
  };

  return {
    request(item) {
      at += 1;
      const hit = kept.has(item.key);
      if (!hit) {
        while (bytes + item.bytes > capacityBytes) evict();
        bytes += item.bytes;
      }
      kept.set(item.key, { item, use: next[at] ?? Number.POSITIVE_INFINITY });
      return hit;
    },
  };
};
