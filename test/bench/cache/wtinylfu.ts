import { Recency } from './lru.ts';
import type { CacheMaker } from './simulate.ts';
import type { Item } from './trace.ts';

/** Uses that are counted before all counts are halved, in adapters that fit. */
const sample = 10;
const mostCounted = 15;

/** Counts of TinyLFU, without the collisions of its sketch: better than the original. */
const frequencies = (fits: number) => {
  const counts = new Map<string, number>();
  let seen = 0;
  return {
    of: (key: string): number => counts.get(key) ?? 0,
    count(key: string): void {
      counts.set(key, Math.min(mostCounted, (counts.get(key) ?? 0) + 1));
      seen += 1;
      if (seen < sample * fits) return;
      seen = Math.floor(seen / 2);
      for (const [other, uses] of counts) {
        if (uses > 1) counts.set(other, uses >> 1);
        else counts.delete(other);
      }
    },
  };
};

/**
 * Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission policy" (ACM Transactions on Storage,
 * 2017): a window of 1 %, and a segmented LRU whose four fifths are protected; what leaves the window is admitted when
 * it was used more often than what would leave for it. Of different sizes: more often than all of those together
 * (Einziger et al., "Lightweight robust size aware cache management", 2021). The window holds one adapter at least.
 */
export const wtinylfuCache: CacheMaker = ({ capacityBytes, items }) => {
  const mean = items.reduce((sum, { bytes }) => sum + bytes, 0) / items.length;
  const largest = Math.max(...items.map(({ bytes }) => bytes));
  const windowBytes = Math.max(capacityBytes / 100, largest);
  const mainBytes = capacityBytes - windowBytes;
  const [window, probation, guarded] = [new Recency(), new Recency(), new Recency()];
  const frequency = frequencies(capacityBytes / mean);

  const promote = (item: Item): void => {
    probation.take(item.key);
    guarded.put(item);
    while (guarded.bytes > 0.8 * mainBytes) {
      const demoted = guarded.takeOldest();
      if (demoted === undefined) return;
      probation.put(demoted);
    }
  };

  const admit = (candidate: Item): void => {
    const victims: Item[] = [];
    let free = mainBytes - probation.bytes - guarded.bytes;
    let used = 0;
    for (const queue of [probation, guarded]) {
      for (const victim of queue.values()) {
        if (free >= candidate.bytes) break;
        victims.push(victim);
        free += victim.bytes;
        used += frequency.of(victim.key);
      }
    }
    if (free < candidate.bytes) return;
    if (victims.length > 0 && frequency.of(candidate.key) <= used) return;
    for (const { key } of victims) {
      probation.take(key);
      guarded.take(key);
    }
    probation.put(candidate);
  };

  return {
    request(item) {
      const { key } = item;
      frequency.count(key);
      if (window.has(key)) {
        window.put(item);
        return true;
      }
      if (probation.has(key) || guarded.has(key)) {
        promote(item);
        return true;
      }
      window.put(item);
      while (window.bytes > windowBytes) {
        const candidate = window.takeOldest();
        if (candidate !== undefined) admit(candidate);
      }
      return false;
    },
  };
};
