import { expect, it } from 'vitest';
import { PieceCache } from './piece-cache.ts';

it('a piece that was put is found', () => {
  const cache = new PieceCache<number[]>(4);
  cache.put('moon', [1, 2]);
  expect(cache.get('moon')).toEqual([1, 2]);
  expect(cache.get('sun')).toBeUndefined();
});

it('the cache stays within its capacity, and what is used stays longest', () => {
  const cache = new PieceCache<number>(10);
  cache.put('used', 0);
  for (let piece = 1; piece <= 100; piece += 1) {
    cache.put(String(piece), piece);
    expect(cache.get('used')).toBe(0);
    expect(cache.size).toBeLessThanOrEqual(10);
  }
  expect(cache.get('1')).toBeUndefined();
  expect(cache.get('100')).toBe(100);
});
