import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { seededRandom } from '../../engine/random.ts';
import { type Columns, productSvd } from './svd.ts';

const length = (column: Float64Array): number =>
  Math.sqrt(column.reduce((sum, value) => sum + value ** 2, 0));
const dot = (x: Float64Array, y: Float64Array): number =>
  x.reduce((sum, value, at) => sum + value * y[at]!, 0);

/** Random columns, some of which depend on others. */
const columnsOf = (seed: number, rows: number, count: number): Columns => {
  const random = seededRandom(seed);
  const columns: Float64Array[] = [];
  for (let at = 0; at < count; at += 1) {
    const before = columns[Math.floor(random() * at)];
    columns.push(
      random() < 0.2 && before !== undefined
        ? before.map((value) => value * 3)
        : Float64Array.from({ length: rows }, () => (random() - 0.5) * 10 ** Math.floor(random() * 3)),
    );
  }
  return columns;
};

const productAt = (b: Columns, a: Columns, row: number, column: number): number =>
  b.reduce((sum, left, at) => sum + left[row]! * a[at]![column]!, 0);

it('gives back the product, in orthogonal parts from the largest on', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 16 }),
      (seed, rows, columns, count) => {
        const [b, a] = [columnsOf(seed, rows, count), columnsOf(seed + 1, columns, count)];
        const { left, right } = productSvd(b, a, count);
        const largest = length(left[0]!);
        for (let row = 0; row < rows; row += 1) {
          for (let column = 0; column < columns; column += 1) {
            const difference = productAt(b, a, row, column) - productAt(left, right, row, column);
            expect(Math.abs(difference)).toBeLessThan(1e-11 * (1 + largest));
          }
        }
        for (const [at, x] of left.entries()) {
          expect(length(right[at]!)).toBeCloseTo(1, 10);
          if (at > 0) expect(length(x)).toBeLessThanOrEqual(length(left[at - 1]!) * (1 + 1e-12));
          for (let before = 0; before < at; before += 1) {
            expect(Math.abs(dot(right[before]!, right[at]!))).toBeLessThan(1e-8);
            expect(Math.abs(dot(left[before]!, x))).toBeLessThan(1e-8 * largest ** 2);
          }
        }
      },
    ),
  );
});

it('is one zero where there is nothing', () => {
  const none = [new Float64Array(3)];
  expect(productSvd(none, none, 4)).toEqual({ left: [new Float64Array(3)], right: [new Float64Array(3)] });
});

it('leaves out the smallest parts', () => {
  const b = [Float64Array.of(3, 0), Float64Array.of(0, 1)];
  const a = [Float64Array.of(0, 1), Float64Array.of(1, 0)];
  const { left, right } = productSvd(b, a, 1);
  expect([left.length, Math.abs(left[0]![0]!), Math.abs(right[0]![1]!)]).toEqual([1, 3, 1]);
});
