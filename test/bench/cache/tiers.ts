import type { CacheMaker } from './simulate.ts';
import type { Asked, StoredItem, TieredTrace } from './tiered-trace.ts';

/** Where a request found its adapter. */
type Found = 'ram' | 'flash' | 'network';

type PrefetchCounts = { readonly hits: number; readonly broughtBytes: number; readonly wastedBytes: number };

type Tiers = {
  request(asked: Asked): Found | Promise<Found>;
  /** Of those that were brought to flash, and into RAM, before they were asked for. */
  prefetched?(): { readonly disk: PrefetchCounts; readonly ram: PrefetchCounts };
};

export type TiersMaker = (trace: TieredTrace) => Tiers;

export type TieredOutcome = {
  /** In RAM. */
  readonly hitRatio: number;
  readonly byteHitRatio: number;
  /** In RAM or on flash. */
  readonly nearRatio: number;
  readonly nearByteRatio: number;
  /** Milliseconds of loading for an average request. */
  readonly ms: number;
  /** Hit ratios of some owners alone. */
  readonly hitRatioOf: (owners: readonly string[]) => number;
  readonly prefetched: ReturnType<NonNullable<Tiers['prefetched']>> | undefined;
};

const fetched = new WeakMap<StoredItem, StoredItem>();

/** As flash sees it: a miss costs the fetch. */
const ofFlash = (item: StoredItem): StoredItem => {
  const known = fetched.get(item);
  if (known !== undefined) return known;
  const made = { ...item, reloadMs: item.fetchMs };
  fetched.set(item, made);
  return made;
};

/** One policy for both tiers, each of which sees all requests: flash knows what is used in RAM, as that of a runtime does. */
export const tiersOf =
  (make: CacheMaker): TiersMaker =>
  ({ items, requests, ramBytes, flashBytes }) => {
    const asked = requests.map(({ item }) => item);
    const ram = make({ name: 'ram', capacityBytes: ramBytes, items, requests: asked });
    const flash = make({
      name: 'flash',
      capacityBytes: flashBytes,
      items: items.map(ofFlash),
      requests: asked.map(ofFlash),
    });
    return {
      request({ item }) {
        const [isInRam, isOnFlash] = [ram.request(item), flash.request(ofFlash(item))];
        return isInRam ? 'ram' : isOnFlash ? 'flash' : 'network';
      },
    };
  };

/** What the requests after the first `warmUp` met. */
export const simulateTiers = async (
  trace: TieredTrace,
  make: TiersMaker,
  warmUp: number,
): Promise<TieredOutcome> => {
  const tiers = make(trace);
  const all = { asked: 0, ram: 0, near: 0, bytes: 0, ramBytes: 0, nearBytes: 0, ms: 0 };
  const byOwner = new Map<string, { asked: number; ram: number }>();
  for (const [at, asked] of trace.requests.entries()) {
    const found = await tiers.request(asked);
    if (at < warmUp) continue;
    const { owner, bytes, reloadMs, fetchMs } = asked.item;
    const [isInRam, isNear] = [found === 'ram', found !== 'network'];
    const its = byOwner.get(owner) ?? { asked: 0, ram: 0 };
    byOwner.set(owner, { asked: its.asked + 1, ram: its.ram + Number(isInRam) });
    all.asked += 1;
    all.bytes += bytes;
    all.ram += Number(isInRam);
    all.near += Number(isNear);
    all.ramBytes += isInRam ? bytes : 0;
    all.nearBytes += isNear ? bytes : 0;
    all.ms += (isInRam ? 0 : reloadMs) + (isNear ? 0 : fetchMs);
  }
  return {
    hitRatio: all.ram / all.asked,
    byteHitRatio: all.ramBytes / all.bytes,
    nearRatio: all.near / all.asked,
    nearByteRatio: all.nearBytes / all.bytes,
    ms: all.ms / all.asked,
    hitRatioOf: (owners) => {
      const theirs = owners.map((owner) => byOwner.get(owner) ?? { asked: 0, ram: 0 });
      const asked = theirs.reduce((sum, one) => sum + one.asked, 0);
      return theirs.reduce((sum, { ram }) => sum + ram, 0) / Math.max(1, asked);
    },
    prefetched: tiers.prefetched?.(),
  };
};
