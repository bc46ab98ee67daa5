import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beladyCache } from '../bench/cache/belady.ts';
import { boundOf, mostValue } from '../bench/cache/bound.ts';
import { gdsfCache } from '../bench/cache/gdsf.ts';
import { lruCache } from '../bench/cache/lru.ts';
import { runtimeTiers } from '../bench/cache/runtime-tiers.ts';
import { s3fifoCache } from '../bench/cache/s3fifo.ts';
import { type Asked, type StoredItem, type TieredTrace, tieredTraces } from '../bench/cache/tiered-trace.ts';
import { simulateTiers, type TiersMaker, tiersOf } from '../bench/cache/tiers.ts';
import { wtinylfuCache } from '../bench/cache/wtinylfu.ts';

const itemOf = (key: string, bytes = 10, more: Partial<StoredItem> = {}): StoredItem => {
  return { key, owner: 'team', bytes, reloadMs: 1, fetchMs: 100, isOfUser: true, ...more };
};
const traceOf = (items: readonly StoredItem[], more: Partial<TieredTrace> = {}): TieredTrace => ({
  items: [...new Set(items)],
  requests: items.map((item, i): Asked => ({ item, atMs: i * 1_000, next: [] })),
  ramBytes: 30,
  flashBytes: 60,
  shareOf: () => ({ guarantee: 0, limit: Infinity }),
  ...more,
});
const foundIn = async (trace: TieredTrace, make: TiersMaker): Promise<string[]> => {
  const tiers = make(trace);
  const found: string[] = [];
  for (const asked of trace.requests) found.push(await tiers.request(asked));
  return found;
};

const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const sized = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 8 }),
    fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 120 }),
  )
  .map(([sizes, asked]) => {
    const items = letters.map((key, i) => itemOf(key, 5 * (sizes[i] ?? 1)));
    return traceOf(asked.flatMap((i) => items[i] ?? []));
  });

it('a runtime that is told to put out the least recently used is LRU, in RAM', async () => {
  await fc.assert(
    fc.asyncProperty(sized, async (trace) => {
      const roomy = { ...trace, flashBytes: 1_000 };
      expect(await foundIn(roomy, runtimeTiers('lru'))).toEqual(await foundIn(roomy, tiersOf(lruCache)));
    }),
    { numRuns: 50 },
  );
});

it('what is asked for is in RAM afterwards, and the budgets hold at each request', async () => {
  await fc.assert(
    fc.asyncProperty(sized, async (trace) => {
      const again = { ...trace, requests: trace.requests.flatMap((asked) => [asked, asked]) };
      const prefetch = { downloads: true, hourlyBytes: Infinity };
      const found = await foundIn(again, runtimeTiers('hit-density', prefetch));
      expect(found.filter((_, at) => at % 2 === 1)).toEqual(trace.requests.map(() => 'ram'));
    }),
    { numRuns: 50 },
  );
});

describe('the bound', () => {
  it('of equal sizes is what keeping the shortest stays gives', () => {
    const [a, b, c] = [itemOf('a', 1), itemOf('b', 1), itemOf('c', 1)];
    // Stays: a of 2 steps, b of 4, c of 1, in 6 steps of room for one: c and a, and three quarters of b, of 6 requests.
    const requests = [a, b, a, c, c, b].flatMap((item) => item ?? []);
    expect(mostValue(requests, 1, 0, () => 1)).toBeCloseTo(2.75 / 6);
    expect(mostValue(requests, 0.5, 0, () => 1)).toBeCloseTo(2 / 6);
  });

  it('is passed by no policy', async () => {
    const makers = {
      ours: runtimeTiers('hit-density', { downloads: false, hourlyBytes: 0 }),
      ...Object.fromEntries(
        Object.entries({ lruCache, s3fifoCache, wtinylfuCache, gdsfCache, beladyCache }).map(
          ([name, make]) => [name, tiersOf(make)],
        ),
      ),
    };
    await fc.assert(
      fc.asyncProperty(sized, fc.nat({ max: 20 }), async (trace, skipped) => {
        const warmUp = Math.min(skipped, trace.requests.length - 1);
        const bound = boundOf(trace, warmUp);
        for (const make of Object.values(makers)) {
          const outcome = await simulateTiers(trace, make, warmUp);
          for (const measure of ['hitRatio', 'byteHitRatio', 'nearRatio', 'nearByteRatio'] as const)
            expect(outcome[measure], measure).toBeLessThanOrEqual(bound[measure] + 1e-9);
          expect(outcome.ms).toBeGreaterThanOrEqual(bound.ms - 1e-9);
        }
      }),
      { numRuns: 40 },
    );
  });
});

it('thousands of adapters that are asked for once do not put out what is used', async () => {
  const used = Array.from({ length: 6 }, (_, i) => itemOf(`used-${i}`));
  // Between two uses of one are seventeen others: more than RAM and flash have room for.
  const items = Array.from({ length: 3_000 }, (_, i) => [
    itemOf(`once-${i}`),
    ...(i % 2 === 0 ? [used[(i / 2) % used.length] ?? itemOf('')] : []),
  ]).flat();
  const trace = traceOf(items, { ramBytes: 80, flashBytes: 100 });
  const missed = async (make: TiersMaker): Promise<readonly string[]> => {
    const found = await foundIn(trace, make);
    return found.filter(
      (where, at) => at > 1_000 && items[at]?.key.startsWith('used') === true && where !== 'ram',
    );
  };
  expect((await missed(tiersOf(lruCache))).length).toBeGreaterThan(1_000);
  expect(await missed(runtimeTiers('hit-density'))).toEqual([]);
});

describe('traces of RAM over flash', () => {
  const options = { users: 500, inRam: 10, onFlash: 60, length: 2_000 };

  it.each(Object.entries(tieredTraces))('%s depends on its seed alone, in order of time', (_name, make) => {
    const keysOf = (seed: number) => make(options, seed).requests.map(({ item }) => item.key);
    expect(keysOf(1)).toEqual(keysOf(1));
    expect(keysOf(1)).not.toEqual(keysOf(2));
    const times = make(options, 1).requests.map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    for (const { item } of make(options, 1).requests) {
      expect(item.bytes).toBeGreaterThanOrEqual(5e6);
      expect(item.bytes).toBeLessThanOrEqual(50e6);
    }
  });

  it('users sleep at night', () => {
    const hourOf = (atMs: number) => Math.floor(atMs / 3_600_000) % 24;
    const hours = tieredTraces['users']!(options, 1).requests.map(({ atMs }) => hourOf(atMs));
    const between = (from: number, to: number) => hours.filter((hour) => hour >= from && hour < to).length;
    expect(between(10, 14)).toBeGreaterThan(5 * between(0, 4));
  });
});
