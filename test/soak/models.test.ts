import { expect, it } from 'vitest';
import { epsilonOf } from './models.ts';

it.each([
  ['serve', { attention: true, linears: true }, 0],
  ['serve without those of linears', { attention: true, linears: false }, 0.5],
  ['serve without that of attention', { attention: false, linears: true }, 0.5],
])('near ties are failures only where operators of our own %s', (_, native, expected) => {
  expect(epsilonOf({ epsilon: 0.5, sameBits: true }, { native })).toBe(expected);
  expect(epsilonOf({ epsilon: 0.5, sameBits: false }, { native })).toBe(0.5);
});
