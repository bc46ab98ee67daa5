import { describe, expect, it } from 'vitest';
import type { NamedTensor, TensorSpec } from '../tasks.ts';
import { inOrder } from './check-inputs.ts';

const specs: readonly TensorSpec[] = [
  { name: 'x', type: 'float32', shape: [-1, 2] },
  { name: 'n', type: 'int64', shape: [] },
];
const x: NamedTensor = { name: 'x', type: 'float32', shape: [1, 2], data: new Uint8Array(8) };
const n: NamedTensor = { name: 'n', type: 'int64', shape: [], data: new Uint8Array(8) };

describe('the inputs of a graph', () => {
  it('are put into its order', () => {
    expect(inOrder([n, x], specs)).toEqual([x, n]);
  });

  it.each<[string, readonly NamedTensor[], RegExp]>([
    ['one is missing', [x], /input n is missing; needed are x, n/],
    ['one is not known', [x, n, { ...n, name: 'm' }], /"m" is not known; known are x, n/],
    ['one is there twice', [x, n, n], /twice/],
    ['one has another type', [x, { ...n, type: 'int32' }], /input n is int32, the model takes int64/],
    ['one has another fixed size', [{ ...x, shape: [1, 3] }, n], /\[1, 3\], the model takes \[-1, 2\]/],
    ['one has more dimensions', [{ ...x, shape: [1, 1, 2] }, n], /\[1, 1, 2\]/],
    [
      'one has very many dimensions',
      [{ ...x, shape: Array<number>(3000).fill(9) }, n],
      /^input x has the shape \[9(, 9){7}, …\] of 3000 dimensions, the model takes \[-1, 2\]/,
    ],
    ['a size is negative', [{ ...x, shape: [-1, 2] }, n], /\[-1, 2\]/],
    ['the bytes are too few', [{ ...x, shape: [2, 2] }, n], /8 bytes of data, its shape \[2, 2\] needs 16/],
  ])('are refused when %s', (_, inputs, message) => {
    expect(() => inOrder(inputs, specs)).toThrow(message);
  });
});
