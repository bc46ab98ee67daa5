import type { EvictionPolicy } from '../../../src/runtime/residency/eviction-policy.ts';
import { type Holding, planRoom } from '../../../src/runtime/residency/room.ts';
import type { CacheMaker } from './simulate.ts';
import type { Item } from './trace.ts';

/** A policy of the runtime: its own code, asked by the same division of RAM that the runtime makes. */
export const runtimeCache =
  (make: () => EvictionPolicy): CacheMaker =>
  ({ capacityBytes }) => {
    const policy = make();
    const kept = new Map<string, { readonly item: Item; readonly lastUse: number }>();
    let now = 0;

    const holdings = (): Holding<Item>[] =>
      [...kept.values()].map(({ item, lastUse }) => ({
        of: item,
        owner: '',
        bytes: item.bytes,
        phase: 'resident',
        references: 0,
        protected: false,
        wanted: false,
        priority: 0,
        worth: policy.worth(item),
        lastUse,
      }));

    const load = (item: Item): void => {
      const wish = {
        of: item,
        owner: '',
        bytes: item.bytes,
        patient: true,
        overProtected: false,
        wanted: false,
        priority: 0,
      };
      policy.divided(kept.size);
      const { evict } = planRoom(capacityBytes, holdings(), [wish]);
      for (const { key } of evict) kept.delete(key);
    };

    return {
      request(item) {
        now += 1;
        const hit = kept.has(item.key);
        if (!hit) load(item);
        policy.used(item.key);
        kept.set(item.key, { item, lastUse: now });
        return hit;
      },
    };
  };
