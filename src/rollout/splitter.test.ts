import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import type { Digest } from '../api/names.ts';
import { armOf, keyOf, pointOf, seedOf } from './splitter.ts';

const seed = seedOf('team-a', 'sql', fakeDigest('a'));
const users = (count: number, prefix = 'user-'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const canaryShare = (keys: readonly string[], weight: number, of = seed): number =>
  keys.filter((key) => armOf(of, key, weight) === 'canary').length / keys.length;

/** Chi-square of a table of counts against equal expectations, and the 99.9 % quantile by Wilson and Hilferty. */
const chiSquare = (counts: readonly number[], expected: number): number =>
  counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
const quantile999 = (freedom: number): number => {
  const a = 2 / (9 * freedom);
  return freedom * (1 - a + 3.0902 * Math.sqrt(a)) ** 3;
};

describe('splitter', () => {
  it('gives the canary its weight within 5 points over 500 keys, at every weight', () => {
    for (let weight = 0; weight <= 100; weight++) {
      expect(Math.abs(canaryShare(users(500), weight) - weight / 100)).toBeLessThanOrEqual(0.05);
    }
  });

  it('gives the canary its weight on average over seeds: none is lucky', () => {
    const digests = Array.from(
      { length: 400 },
      (_, i) => `sha256:${i.toString(16).padStart(64, '0')}` as Digest,
    );
    for (const weight of [1, 10, 50]) {
      const shares = digests.map((digest) =>
        canaryShare(users(500), weight, seedOf('team-a', 'sql', digest)),
      );
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      // Four standard deviations of a mean over 200,000 independent keys.
      const deviation = Math.sqrt(((weight / 100) * (1 - weight / 100)) / (500 * digests.length));
      expect(Math.abs(mean - weight / 100)).toBeLessThanOrEqual(4 * deviation);
    }
  });

  it('gives the canary nobody at weight 0 and everybody at 100', () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        expect(armOf(seed, key, 0)).toBe('stable');
        expect(armOf(seed, key, 100)).toBe('canary');
      }),
    );
  });

  it('spreads 100,000 keys evenly over the points, by a chi-square test over 1,000 cells', () => {
    for (const prefix of ['user-', 'f81d4fae-7dec-11d0-a765-']) {
      const cells = Array.from({ length: 1000 }, () => 0);
      for (const key of users(100_000, prefix)) {
        const cell = Math.floor(pointOf(seed, key) / 1000);
        cells[cell] = (cells[cell] ?? 0) + 1;
      }
      expect(chiSquare(cells, 100)).toBeLessThan(quantile999(999));
    }
  });

  it('moves no key back to stable when the weight grows', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(100), fc.nat(100), (key, a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        if (armOf(seed, key, low) === 'canary') expect(armOf(seed, key, high)).toBe('canary');
      }),
    );
    const at10 = users(10_000).filter((key) => armOf(seed, key, 10) === 'canary');
    expect(at10.every((key) => armOf(seed, key, 30) === 'canary')).toBe(true);
  });

  it('meets other users with the next canary: two seeds are independent, by a chi-square test over 10 x 10 cells', () => {
    const other = seedOf('team-a', 'sql', fakeDigest('b'));
    const cells = Array.from({ length: 100 }, () => 0);
    for (const key of users(100_000)) {
      const cell = Math.floor(pointOf(seed, key) / 100_000) * 10 + Math.floor(pointOf(other, key) / 100_000);
      cells[cell] = (cells[cell] ?? 0) + 1;
    }
    expect(chiSquare(cells, 1000)).toBeLessThan(quantile999(99));
  });

  it('makes seeds of 16 hexadecimal digits that depend on namespace, name and digest', () => {
    const seeds = [
      seed,
      seedOf('team-b', 'sql', fakeDigest('a')),
      seedOf('team-a', 'sql2', fakeDigest('a')),
      seedOf('team-a', 'sql', fakeDigest('b')),
    ];
    expect(new Set(seeds).size).toBe(4);
    for (const one of seeds) expect(one).toMatch(/^[0-9a-f]{16}$/);
  });

  it('never changes its answers: users must keep their arm across versions', () => {
    expect(seed).toMatchInlineSnapshot(`"d1b498b1c10f6072"`);
    expect(users(5).map((key) => pointOf(seed, key))).toMatchInlineSnapshot(`
      [
        585096,
        110527,
        608402,
        809160,
        924690,
      ]
    `);
  });

  it('follows the user, else the session, else the request, starting where hashOn says', () => {
    const all = { user: 'u', session: 's', requestId: 'r' };
    expect(keyOf('User', all)).toBe('u');
    expect(keyOf('User', { session: 's', requestId: 'r' })).toBe('s');
    expect(keyOf('User', { user: '', requestId: 'r' })).toBe('r');
    expect(keyOf('Session', all)).toBe('s');
    expect(keyOf('Session', { user: 'u', requestId: 'r' })).toBe('r');
    expect(keyOf('Request', all)).toBe('r');
  });
});
