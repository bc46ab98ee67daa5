import type { CacheMaker } from './simulate.ts';
import type { Item } from './trace.ts';

/**
 * Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy" (HP Labs, 1998): the
 * lowest of clock + uses x cost / size leaves, and the clock becomes its value. Uses are forgotten with it.
 */
export const gdsfCache: CacheMaker = ({ capacityBytes }) => {
  const kept = new Map<string, { readonly item: Item; readonly uses: number; readonly value: number }>();
  let clock = 0;
  let bytes = 0;

  const evict = (): void => {
    let lowest = Number.POSITIVE_INFINITY;
    let victim: Item | undefined;
    for (const { item, value } of kept.values()) {
      if (value < lowest) [lowest, victim] = [value, item];
    }
    if (victim === undefined) return;
    clock = lowest;
    kept.delete(victim.key);
    bytes -= victim.bytes;
  };

  return {
    request(item) {
      const before = kept.get(item.key);
      if (before === undefined) {
        while (bytes + item.bytes > capacityBytes) evict();
        bytes += item.bytes;
      }
      const uses = (before?.uses ?? 0) + 1;
      // Anew at the end: of equals the least recently used leaves.
      kept.delete(item.key);
      kept.set(item.key, { item, uses, value: clock + (uses * item.reloadMs) / item.bytes });
      return before !== undefined;
    },
  };
};
