import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CompiledTensor, storedBytes, storedTypes, tensorAlignment } from './compiled-file.ts';
import { memoryLayout } from './memory-layout.ts';
import { widening } from './widen.ts';

const align = (bytes: number): number => Math.ceil(bytes / tensorAlignment) * tensorAlignment;

/** Tensors of any types and shapes, as a file has them from byte 4,096 on. */
const files = fc
  .array(
    fc.tuple(
      fc.constantFrom(...storedTypes),
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 70 }),
    ),
    {
      minLength: 1,
      maxLength: 8,
    },
  )
  .map((tensors) => {
    let end = 4096;
    return tensors.map(([dtype, rows, columns], index): CompiledTensor => {
      const shape = [rows, columns] as const;
      const offset = align(end);
      const half = index % 2 === 0 ? 'A' : 'B';
      const length = storedBytes({ half, dtype, shape });
      end = offset + length;
      return { module: `m${index}`, half, shape, dtype, scale: 1.25, offset, length, crc32: 0 };
    });
  });

/** Bytes that are finite numbers in every type. */
const contentOf = (tensors: readonly CompiledTensor[]): Uint8Array<ArrayBuffer> => {
  const end = Math.max(...tensors.map((tensor) => tensor.offset + tensor.length));
  return new Uint8Array(end).map((_, i) => (i * 7919) % 60);
};

describe('the layout of a block', () => {
  it('lets a file be widened in place to exactly what it is widened to elsewhere', () => {
    fc.assert(
      fc.property(files, (tensors) => {
        const { bytes, places, readAt, readBytes, fileStart } = memoryLayout(tensors, 'float32');
        const content = contentOf(tensors);
        const block = new Uint8Array(bytes);
        block.set(content.subarray(fileStart, fileStart + readBytes), readAt);
        for (const { tensor, at } of places) {
          const count = tensor.shape[0] * tensor.shape[1];
          const target = new Float32Array(block.buffer, at, count);
          widening(tensor, block.buffer, readAt + tensor.offset - fileStart, target)(0, count);
        }
        for (const { tensor, at } of places) {
          const count = tensor.shape[0] * tensor.shape[1];
          const apart = new Float32Array(count);
          widening(tensor, content.buffer, tensor.offset, apart)(0, count);
          expect(new Float32Array(block.buffer, at, count)).toEqual(apart);
        }
      }),
    );
  });

  it('is as large as the values and their alignment, whatever the order of the tensors', () => {
    fc.assert(
      fc.property(files, (tensors) => {
        const layout = memoryLayout(tensors, 'float32');
        expect(memoryLayout(tensors.toReversed(), 'float32')).toEqual(layout);
        const values = tensors.reduce((sum, { shape }) => align(sum) + 4 * shape[0] * shape[1], 0);
        expect(layout.bytes).toBeGreaterThanOrEqual(values);
        // int8 with few values to a scale is larger in a file than in memory: up to 5 bytes a value.
        const slim = tensors.some(
          ({ dtype, half, shape }) => dtype === 'int8' && shape[half === 'A' ? 1 : 0] < 4,
        );
        if (!slim) expect(layout.bytes).toBeLessThan(values + 2 * tensorAlignment * tensors.length);
      }),
    );
  });

  it('is the file from its first tensor on where weights stay as they are stored', () => {
    fc.assert(
      fc.property(files, (tensors) => {
        const end = Math.max(...tensors.map(({ offset, length }) => offset + length));
        const { bytes, places, readAt, readBytes, fileStart } = memoryLayout(tensors.toReversed(), 'stored');
        expect([readAt, readBytes, fileStart]).toEqual([0, bytes, 4096]);
        expect(bytes).toBe(end - 4096);
        expect(places).toEqual(tensors.map((tensor) => ({ tensor, at: tensor.offset - 4096 })));
      }),
    );
  });

  it('reads float32 to where it stays', () => {
    fc.assert(
      fc.property(files, (tensors) => {
        let end = 4096;
        const float32 = tensors.map((tensor) => {
          const offset = align(end);
          const length = storedBytes({ ...tensor, dtype: 'float32' });
          end = offset + length;
          return { ...tensor, offset, length };
        });
        const { readAt, bytes, readBytes, places, fileStart } = memoryLayout(float32, 'float32');
        expect([readAt, bytes]).toEqual([0, readBytes]);
        for (const { tensor, at } of places) expect(at).toBe(tensor.offset - fileStart);
      }),
    );
  });
});
