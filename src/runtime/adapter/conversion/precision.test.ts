import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode, type Matrix } from './precision.ts';

const matrixOf = (shape: readonly [number, number], values: readonly number[]): Matrix => ({
  name: 'm.lora_A.weight',
  shape,
  values: new Float32Array(values),
});

const matrices = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([rows, columns]) =>
    fc
      .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), {
        minLength: rows * columns,
        maxLength: rows * columns,
      })
      .map((values) => matrixOf([rows, columns], values)),
  );

const int8Of = (matrix: Matrix) => {
  const { tensors, values } = encode(matrix, 'int8');
  const [weight, scale] = tensors;
  return {
    tensors,
    values,
    quantised: new Int8Array(weight!.data.slice().buffer),
    scales: new Float32Array(scale!.data.slice().buffer),
  };
};

describe('int8', () => {
  it('maps the largest value of each row to 127, and others to the nearest step', () => {
    const { tensors, quantised, scales, values } = int8Of(matrixOf([2, 3], [127, -64.4, 1.6, -0.5, 0.25, 0]));
    expect(tensors.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ['m.lora_A.weight', 'I8', [2, 3]],
      ['m.lora_A.weight_scale', 'F32', [2]],
    ]);
    expect([...scales]).toEqual([1, Math.fround(0.5 / 127)]);
    expect([...quantised]).toEqual([127, -64, 2, -127, 64, 0]);
    expect([...values.subarray(0, 3)]).toEqual([127, -64, 2]);
  });

  it('loses at most half a step of a row, has scales above 0, and never uses -128', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const { quantised, scales, values } = int8Of(matrix);
        expect(scales.every((scale) => scale > 0 && Number.isFinite(scale))).toBe(true);
        expect(quantised.includes(-128)).toBe(false);
        for (const [at, value] of matrix.values.entries()) {
          const scale = scales[Math.floor(at / matrix.shape[1])]!;
          expect(values[at]).toBe(Math.fround(quantised[at]! * scale));
          // A step of the smallest numbers is as large as they are.
          expect(Math.abs(values[at]! - value)).toBeLessThanOrEqual(0.5001 * scale + 2 ** -149);
        }
      }),
    );
  });

  it('keeps a row of zeros', () => {
    const { scales, values } = int8Of(matrixOf([2, 2], [0, 0, 1, 1]));
    expect(scales[0]).toBe(1);
    expect([...values.subarray(0, 2)]).toEqual([0, 0]);
  });
});

describe('float16', () => {
  it('rounds to the nearest, ties to even', () => {
    const { values, tensors } = encode(
      matrixOf([1, 4], [1 + 2 ** -11, 1 + 3 * 2 ** -11, 65_504, 2 ** -26]),
      'float16',
    );
    expect([...values]).toEqual([1, 1 + 2 ** -9, 65_504, 0]);
    expect(tensors.map(({ dtype, data }) => [dtype, data.length])).toEqual([['F16', 8]]);
  });

  it('names the tensor, the place and the number that does not fit', () => {
    expect(() => encode(matrixOf([1, 2], [1, -65_505]), 'float16')).toThrow(
      expect.objectContaining({
        code: 'ADAPTER_FLOAT16_RANGE',
        message: expect.stringMatching(/m\.lora_A\.weight.*-65505 at element 1/),
      }),
    );
  });
});
