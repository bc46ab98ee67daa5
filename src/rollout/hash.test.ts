import { expect, it } from 'vitest';
import { hash64, hash64Hex } from './hash.ts';

it('is xxHash64: the published vectors, so that any language can compute a split', () => {
  expect(hash64Hex('')).toBe('ef46db3751d8e999');
  expect(hash64Hex('Nobody inspects the spammish repetition')).toBe('fbcea83c8a378bf1');
  expect(hash64('', 0x9e3779b1n).toString(16)).toBe('ac75fda2929b17ef');
});
