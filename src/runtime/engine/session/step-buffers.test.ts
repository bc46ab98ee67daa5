import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copy } from '../ort/libc.ts';
import { NativeMemory } from '../ort/memory.ts';
import { elementsOf, type OrtTensor } from '../ort/tensor.ts';
import { MaskBuffer } from './step-buffers.ts';

/** The numbers of an int64 tensor, row by row. */
const rowsOf = ({ address, shape }: OrtTensor): readonly (readonly number[])[] => {
  const count = elementsOf(shape);
  const memory = new NativeMemory(count * BigInt64Array.BYTES_PER_ELEMENT);
  copy(memory.address, address, memory.bytes);
  const numbers = Array.from(new BigInt64Array(memory.buffer), Number);
  memory.free();
  const [rows = 0, length = 0] = shape;
  return Array.from({ length: rows }, (_, row) => numbers.slice(row * length, (row + 1) * length));
};

describe('the attention mask of rows of different lengths', () => {
  let mask: MaskBuffer;
  beforeEach(() => {
    mask = new MaskBuffer();
  });
  afterEach(() => mask.free());

  it('has as many ones as a row is long, then zeros up to the longest', () => {
    const tensor = mask.tensor([2, 4, 1]);
    expect(tensor).toMatchObject({ type: 'int64', shape: [3, 4] });
    expect(rowsOf(tensor)).toEqual([
      [1, 1, 0, 0],
      [1, 1, 1, 1],
      [1, 0, 0, 0],
    ]);
  });

  it('has them at the end where rows are padded before their first token', () => {
    expect(rowsOf(mask.tensor([2, 4, 1], 'end'))).toEqual([
      [0, 0, 1, 1],
      [1, 1, 1, 1],
      [0, 0, 0, 1],
    ]);
  });

  it('has nothing left of those before, which were longer, shorter, more or fewer', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }), { minLength: 1 }),
        (steps) => {
          for (const lengths of steps) {
            const longest = Math.max(...lengths);
            expect(rowsOf(mask.tensor(lengths))).toEqual(
              lengths.map((length) => Array.from({ length: longest }, (_, at) => (at < length ? 1 : 0))),
            );
          }
        },
      ),
    );
  });
});
