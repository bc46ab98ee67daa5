import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEvictionPolicy } from '../../src/runtime/residency/eviction-policies.ts';
import { beladyCache } from '../bench/cache/belady.ts';
import { gdsfCache } from '../bench/cache/gdsf.ts';
import { lruCache } from '../bench/cache/lru.ts';
import { policies } from '../bench/cache/policies.ts';
import { runtimeCache } from '../bench/cache/runtime-policy.ts';
import { s3fifoCache } from '../bench/cache/s3fifo.ts';
import { type CacheMaker, simulate } from '../bench/cache/simulate.ts';
import { type Item, type Trace, traces, zipfShares } from '../bench/cache/trace.ts';
import { wtinylfuCache } from '../bench/cache/wtinylfu.ts';

const traceOf = (capacityBytes: number, keys: readonly string[], known: readonly Item[] = []): Trace => {
  const items = new Map(known.map((item) => [item.key, item]));
  for (const key of keys) if (!items.has(key)) items.set(key, { key, bytes: 1, reloadMs: 1 });
  const requests = keys.map((key) => items.get(key)!);
  return { name: 'by hand', capacityBytes, items: [...items.values()], requests };
};

/** The requests in order, those that hit in capitals. */
const played = (make: CacheMaker, trace: Trace): string => {
  const cache = make(trace);
  return trace.requests.map((item) => (cache.request(item) ? item.key.toUpperCase() : item.key)).join(' ');
};
const words = (text: string): string[] => text.toLowerCase().split(' ');

describe('policies on traces worked out by hand', () => {
  it('LRU puts out what was used least recently', () => {
    const expected = 'a b A c b';
    expect(played(lruCache, traceOf(2, words(expected)))).toBe(expected);
  });

  it('S3-FIFO: from the small queue the twice used go to the main one, the rest become ghosts, and ghosts come back into the main queue', () => {
    const fill = 'a b c d e f g h i j';
    // k makes a a ghost, so that a goes to main and b is a ghost; c is used twice: l moves it to main, makes d a ghost.
    // d makes e a ghost, e makes f one, and m to r make g to l ones: nothing leaves the main queue meanwhile.
    const expected = `${fill} k a C C l C A d e m n o p q r A C D`;
    expect(played(s3fifoCache, traceOf(10, words(expected)))).toBe(expected);
  });

  it('W-TinyLFU: what leaves the window stays only if it was used more often than what would leave for it', () => {
    // d pushes c out of the window, used once, against a, used twice: c goes. Later c, used three times, replaces a.
    const expected = 'a A b c d c C e C a B';
    expect(played(wtinylfuCache, traceOf(3, words(expected)))).toBe(expected);
  });

  it('GDSF: the cheapest a byte leaves, and the clock makes up for uses of long ago', () => {
    const sized = (key: string, reloadMs: number): Item => ({ key, bytes: 5, reloadMs });
    // Values: a 1, b 2.5. c puts out a, clock 1, and has 2; a puts out c, clock 2, and has 3; c puts out b.
    const expected = 'a b c a c A b';
    const known = [sized('a', 5), sized('b', 12.5), sized('c', 5)];
    expect(played(gdsfCache, traceOf(10, words(expected), known))).toBe(expected);
  });

  it('Belady: what is used again last leaves', () => {
    // For the first c b leaves, used later than a; for the second b c leaves, which is not used again.
    const expected = 'a b c A C b A';
    expect(played(beladyCache, traceOf(2, words(expected)))).toBe(expected);
  });
});

const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
const keys = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 300 });
const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 10, maxLength: 10 });
const sized = (bytes: readonly number[]): Item[] =>
  letters.map((key, i) => ({ key, bytes: bytes[i] ?? 1, reloadMs: 1 + (i % 3) }));

it('the least recently used of the runtime, through its own division of RAM, is LRU', () => {
  const ours = runtimeCache(() => createEvictionPolicy('lru'));
  fc.assert(
    fc.property(keys, sizes, (asked, bytes) => {
      const trace = traceOf(8, asked, sized(bytes));
      expect(played(ours, trace)).toBe(played(lruCache, trace));
    }),
  );
});

it('no policy hits more often than Belady where sizes and costs are equal', () => {
  fc.assert(
    fc.property(keys, (asked) => {
      const trace = traceOf(3, asked);
      const most = simulate(trace, beladyCache, 0).hitRatio;
      for (const make of Object.values(policies)) {
        expect(simulate(trace, make, 0).hitRatio).toBeLessThanOrEqual(most + 1e-9);
      }
    }),
  );
});

it('a cache in which everything has room misses each adapter once, whatever the policy', () => {
  fc.assert(
    fc.property(keys, sizes, (asked, bytes) => {
      const trace = traceOf(80, asked, sized(bytes));
      const once = new Set(asked).size;
      for (const make of Object.values(policies)) {
        expect(Math.round((1 - simulate(trace, make, 0).hitRatio) * asked.length)).toBe(once);
      }
    }),
  );
});

it('misses are weighted by bytes and by what they cost, after the warm-up only', () => {
  const known = [
    { key: 'a', bytes: 2, reloadMs: 10 },
    { key: 'b', bytes: 6, reloadMs: 30 },
  ];
  const trace = traceOf(8, ['a', 'b', 'a', 'c', 'b'], known);
  // After two: a hits, c misses and puts out b, b misses.
  const outcome = simulate(trace, lruCache, 2);
  expect(outcome.hitRatio).toBeCloseTo(1 / 3);
  expect(outcome.byteMissRatio).toBeCloseTo(7 / 9);
  expect(outcome.missMs).toBeCloseTo(31 / 3);
});

describe('traces', () => {
  const options = { adapters: 200, room: 20, length: 9_000 };

  it.each(Object.entries(traces))('%s depends on its seed alone', (_name, make) => {
    const keysOf = (seed: number) => make(options, seed).requests.map(({ key }) => key);
    expect(keysOf(1)).toEqual(keysOf(1));
    expect(keysOf(1)).not.toEqual(keysOf(2));
    expect(keysOf(1)).toHaveLength(9_000);
  });

  it('Zipf draws each rank as often as its share says', () => {
    const shares = zipfShares(1_000, 1);
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    expect(sum(shares.slice(0, 64))).toBeCloseTo(0.634, 3);
    const uses = new Map<string, number>();
    for (const { key } of traces['zipf10']!({ adapters: 1_000, room: 64, length: 50_000 }, 3).requests) {
      uses.set(key, (uses.get(key) ?? 0) + 1);
    }
    const seen = [...uses.values()].sort((a, b) => b - a).map((count) => count / 50_000);
    expect(seen[0]).toBeCloseTo(shares[0]!, 2);
    expect(sum(seen.slice(0, 64))).toBeCloseTo(0.634, 2);
  });

  it('of mixed sizes room is for as many of the mean', () => {
    const trace = traces['sizes']!(options, 1);
    const bytes = trace.items.map((item) => item.bytes);
    expect([Math.min(...bytes) >= 5e6, Math.max(...bytes) <= 50e6]).toEqual([true, true]);
    expect(trace.capacityBytes).toBeCloseTo((bytes.reduce((a, b) => a + b, 0) / 200) * 20, -2);
  });
});
