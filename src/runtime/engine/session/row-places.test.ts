import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rowInputs } from '../onnx/rows-in-place.ts';
import { copy } from '../ort/libc.ts';
import { NativeMemory } from '../ort/memory.ts';
import { elementsOf } from '../ort/tensor.ts';
import { type PlacedRows, RowPlaces } from './row-places.ts';

describe('where the tokens of a step are in rows of keys and values', () => {
  let places: RowPlaces;
  beforeEach(() => {
    places = new RowPlaces();
  });
  afterEach(() => places.free());

  const fed = (rows: PlacedRows, input: keyof typeof rowInputs) => {
    const tensor = places.tensors(rows)[rowInputs[input]]!();
    const memory = new NativeMemory(elementsOf(tensor.shape) * BigInt64Array.BYTES_PER_ELEMENT);
    copy(memory.address, tensor.address, memory.bytes);
    const numbers = Array.from(new BigInt64Array(memory.buffer), Number);
    memory.free();
    tensor.release();
    return { shape: tensor.shape, numbers };
  };

  /** Two of three rows of two heads, with room for ten tokens of five numbers. */
  const rows: PlacedRows = { rows: [0, 2], before: [1, 3], tokens: 1, room: [3, 2, 10, 5] };

  it('is counted from the first token of the first row', () => {
    expect(fed(rows, 'heads')).toEqual({ shape: [2, 2, 1], numbers: [0, 10, 40, 50] });
  });

  it('is its first token where a row is padded, before those that it has', () => {
    expect(fed(rows, 'past')).toEqual({ shape: [2, 1, 3], numbers: [0, 0, 0, 0, 1, 2] });
    expect(fed({ ...rows, before: [3, 3] }, 'past').numbers).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('is behind those that it has where they are new', () => {
    expect(fed(rows, 'added')).toEqual({ shape: [2, 1, 1], numbers: [1, 3] });
    expect(fed(rows, 'places')).toEqual({
      shape: [2, 2, 1, 3],
      numbers: [0, 0, 1, 0, 1, 1, 2, 0, 3, 2, 1, 3],
    });
  });

  it('is so for several tokens of one row, of which none may be there', () => {
    const one: PlacedRows = { rows: [1], before: [0], tokens: 2, room: [3, 2, 10, 5] };
    expect(fed(one, 'past')).toEqual({ shape: [1, 1, 0], numbers: [] });
    expect(fed(one, 'added').numbers).toEqual([0, 1]);
    expect(fed(one, 'places').numbers).toEqual([1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1]);
  });
});
