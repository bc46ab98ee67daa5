import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { type CompiledTensor, type StoredType, storedBytes } from '../../compiled/compiled-file.ts';
import { memoryLayout } from '../../compiled/memory-layout.ts';
import { widening } from '../../compiled/widen.ts';
import { readTensors } from './read-tensors.ts';

const folder = folderOfTests();

/** A file of tensors that are larger than a read and than a slice, and its tensors. */
const large = async (name: string, dtypes: readonly StoredType[]) => {
  const shape = [1100, 1001] as const;
  let end = 64;
  const placed = dtypes.map((dtype, index) => {
    const offset = Math.ceil(end / 64) * 64;
    const half = index % 2 === 0 ? ('A' as const) : ('B' as const);
    const length = storedBytes({ half, dtype, shape });
    end = offset + length;
    return { module: `m${index}`, half, shape, dtype, scale: 0.75, offset, length };
  });
  const bytes = new Uint8Array(end).map((_, i) => (i * 7919) % 59);
  const file = join(folder, name);
  await writeFile(file, bytes);
  const tensors: CompiledTensor[] = placed.map((tensor) => ({
    ...tensor,
    crc32: crc32(bytes.subarray(tensor.offset, tensor.offset + tensor.length)),
  }));
  return { file, bytes, tensors };
};

describe('reading tensors', () => {
  it.each<[string, readonly StoredType[]]>([
    ['float16', ['float16', 'float16']],
    ['int8', ['int8', 'int8']],
    ['every type', ['bfloat16', 'float32', 'int8', 'float16']],
  ])('widens %s over the bounds of reads and slices', async (name, dtypes) => {
    const { file, bytes, tensors } = await large(name, dtypes);
    const layout = memoryLayout(tensors, 'float32');
    const arena = new Uint8Array(layout.bytes + 128);
    await readTensors(file, layout, arena.subarray(64, 64 + layout.bytes));
    for (const { tensor, at } of layout.places) {
      const count = tensor.shape[0] * tensor.shape[1];
      const expected = new Float32Array(count);
      widening(tensor, bytes.buffer, tensor.offset, expected)(0, count);
      const read = Buffer.from(arena.buffer, 64 + at, 4 * count);
      expect(read.equals(new Uint8Array(expected.buffer)), tensor.dtype).toBe(true);
    }
    expect([...arena.subarray(0, 64), ...arena.subarray(-64)].every((byte) => byte === 0)).toBe(true);
  });

  it.each(['int8', 'float32'] as const)(
    'lets others have their turn after half a million values of %s',
    async (dtype) => {
      const { file, tensors } = await large('turns', [dtype, dtype, dtype]);
      const layout = memoryLayout(tensors, 'float32');
      let turns = 0;
      const pause = async (): Promise<void> => {
        turns += 1;
      };
      await readTensors(file, layout, new Uint8Array(layout.bytes), pause);
      expect(turns).toBe(Math.floor((3 * 1100 * 1001) / 2 ** 19));
    },
  );

  it('leaves every byte as it is stored where the layout says so', async () => {
    const { file, bytes, tensors } = await large('stored', ['bfloat16', 'float32', 'int8', 'float16']);
    const layout = memoryLayout(tensors, 'stored');
    const block = new Uint8Array(layout.bytes);
    await readTensors(file, layout, block);
    for (const { tensor, at } of layout.places) {
      const stored = bytes.subarray(tensor.offset, tensor.offset + tensor.length);
      expect(Buffer.from(block.buffer, at, tensor.length).equals(stored), tensor.dtype).toBe(true);
    }
  });

  it('refuses a damaged byte of an int8 scale', async () => {
    const { file, bytes, tensors } = await large('damaged', ['int8']);
    bytes[tensors[0]!.offset + 9] = 61;
    await writeFile(file, bytes);
    const layout = memoryLayout(tensors, 'float32');
    await expect(readTensors(file, layout, new Uint8Array(layout.bytes))).rejects.toMatchObject({
      code: 'COMPILED_FILE_CORRUPT',
    });
  });
});
