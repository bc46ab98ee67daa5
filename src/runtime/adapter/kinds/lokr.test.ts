import { expect, it } from 'vitest';
import { factorization } from './lokr.ts';

it.each([
  // As PEFT's own documentation has them.
  [256, -1, [16, 16]],
  [128, -1, [8, 16]],
  [127, -1, [1, 127]],
  [128, 4, [4, 32]],
  // A factor that divides comes first, also where it is the larger.
  [64, 16, [16, 4]],
  // The largest below one that does not divide.
  [60, 7, [6, 10]],
  [576, 0, [1, 576]],
  [1, -1, [1, 1]],
])('takes %d apart by %d as %j', (features, factor, wanted) => {
  expect(factorization(features, factor)).toEqual(wanted);
});
