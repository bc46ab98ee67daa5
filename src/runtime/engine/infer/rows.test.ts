import { describe, expect, it } from 'vitest';
import type { NamedTensor } from '../tasks.ts';
import { commonRows, formOf, joinRows, splitRows } from './rows.ts';

const tensor = (name: string, shape: readonly number[], values: readonly number[]): NamedTensor => ({
  name,
  type: 'int16',
  shape,
  data: new Uint8Array(Int16Array.from(values).buffer),
});
const valuesOf = ({ data }: NamedTensor) => [...new Int16Array(data.buffer)];

describe('rows of several requests', () => {
  const one = [tensor('x', [1, 2], [1, 2]), tensor('y', [1], [7])];
  const two = [tensor('x', [2, 2], [3, 4, 5, 6]), tensor('y', [2], [8, 9])];

  it('are joined in order, and each request gets its own back', () => {
    const joined = joinRows([one, two]);
    expect(joined.map(({ name, shape }) => [name, shape])).toEqual([
      ['x', [3, 2]],
      ['y', [3]],
    ]);
    expect(joined.map(valuesOf)).toEqual([
      [1, 2, 3, 4, 5, 6],
      [7, 8, 9],
    ]);
    const split = splitRows(joined, [1, 2]);
    expect(split?.map((outputs) => outputs.map(valuesOf))).toEqual([
      [[1, 2], [7]],
      [
        [3, 4, 5, 6],
        [8, 9],
      ],
    ]);
    expect(split?.[1]?.[0]?.shape).toEqual([2, 2]);
  });

  it('are not given back when the graph gave another number of rows', () => {
    expect(splitRows([tensor('y', [2], [1, 2])], [1, 2])).toBeUndefined();
    expect(splitRows([tensor('y', [], [1])], [1])).toBeUndefined();
  });

  it('may be run together when all but the first dimension is the same', () => {
    expect(formOf(one)).toBe(formOf(two));
    expect(formOf([tensor('x', [1, 3], [1, 2, 3])])).not.toBe(formOf([tensor('x', [1, 2], [1, 2])]));
  });

  it('are counted when all inputs have as many', () => {
    expect(commonRows(two)).toBe(2);
    expect(commonRows([tensor('x', [1, 2], [1, 2]), tensor('y', [2], [1, 2])])).toBeUndefined();
    expect(commonRows([tensor('x', [], [1])])).toBeUndefined();
  });
});
