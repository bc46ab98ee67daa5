import { expect, it } from 'vitest';
import { listed } from './listed.ts';

it('lists some and counts the rest', () => {
  expect([listed(['a', 'b'], 2), listed(['a', 'b', 'c'], 2)]).toEqual(['a, b', 'a, b and 1 more']);
});
