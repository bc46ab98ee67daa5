import { Recency } from './lru.ts';
import type { CacheMaker } from './simulate.ts';

/**
 * Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction" (SOSP 2023), algorithm 1: a small
 * queue with a tenth of the room, a main queue that puts back what was used, and a ghost queue as long as the main one.
 */
export const s3fifoCache: CacheMaker = ({ capacityBytes }) => {
  const [small, main, ghost] = [new Recency(), new Recency(), new Recency()];
  const uses = new Map<string, number>();
  const smallBytes = capacityBytes / 10;

  const evictMain = (): void => {
    for (;;) {
      const item = main.takeOldest();
      if (item === undefined) return;
      const used = uses.get(item.key) ?? 0;
      if (used === 0) {
        uses.delete(item.key);
        return;
      }
      uses.set(item.key, used - 1);
      main.put(item);
    }
  };

  const evictSmall = (): void => {
    const item = small.takeOldest();
    if (item === undefined) return;
    if ((uses.get(item.key) ?? 0) > 1) {
      uses.set(item.key, 0);
      main.put(item);
      return;
    }
    uses.delete(item.key);
    ghost.put(item);
    while (ghost.bytes > capacityBytes - smallBytes) ghost.takeOldest();
  };

  return {
    request(item) {
      const { key, bytes } = item;
      if (small.has(key) || main.has(key)) {
        uses.set(key, Math.min(3, (uses.get(key) ?? 0) + 1));
        return true;
      }
      while (small.bytes + main.bytes + bytes > capacityBytes) {
        if (small.bytes > 0 && (small.bytes >= smallBytes || main.bytes === 0)) evictSmall();
        else evictMain();
      }
      uses.set(key, 0);
      if (ghost.take(key) === undefined) small.put(item);
      else main.put(item);
      return false;
    },
  };
};
