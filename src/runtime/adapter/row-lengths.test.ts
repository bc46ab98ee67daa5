import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import type { FilePart, Site, StoredWeights } from '../compiled/compile-target.ts';
import { rowLengths } from './row-lengths.ts';

const folder = folderOfTests();

let files = 0;
/** Bytes in a file of their own, behind some others. */
const inFile = (bytes: Uint8Array): FilePart => {
  const path = join(folder, `${(files += 1)}`);
  writeFileSync(path, Buffer.concat([Buffer.alloc(24), bytes, Buffer.alloc(8, 255)]));
  return { path, offset: 24, length: bytes.length };
};
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);

/** A matrix [out, in] by its elements. */
type Matrix = (out: number, at: number) => number;

const asColumns = (weight: Matrix, out: number, inFeatures: number): StoredWeights => ({
  kind: 'columns',
  values: inFile(
    bytesOf(
      Float32Array.from({ length: out * inFeatures }, (_, at) => weight(at % out, Math.floor(at / out))),
    ),
  ),
});

/** Random integers as MatMulNBits has them, and the matrix that they are. */
const asBlocks = (
  { bits, block, zeros }: { readonly bits: 4 | 8; readonly block: number; readonly zeros: boolean },
  out: number,
  inFeatures: number,
): { readonly stored: StoredWeights; readonly weight: Matrix } => {
  const blocks = Math.ceil(inFeatures / block);
  const top = 2 ** bits;
  const number = (row: number, at: number): number => (row * 31 + at * 17 + 5) % top;
  const zero = (row: number, piece: number): number => (row * 7 + piece * 3) % top;
  const scale = (row: number, piece: number): number => Math.fround(0.01 * (1 + ((row + piece) % 5)));
  const pack = (rows: number, each: number, of: Matrix): Uint8Array => {
    const rowBytes = Math.ceil((each * bits) / 8);
    const bytes = new Uint8Array(rows * rowBytes);
    for (let row = 0; row < rows; row += 1) {
      for (let at = 0; at < each; at += 1) {
        const place = row * rowBytes + (bits === 8 ? at : at >> 1);
        bytes[place] = bytes[place]! | (of(row, at) << (bits === 8 ? 0 : 4 * (at & 1)));
      }
    }
    return bytes;
  };
  const scales = Float32Array.from({ length: out * blocks }, (_, at) =>
    scale(Math.floor(at / blocks), at % blocks),
  );
  const stored: StoredWeights = {
    kind: 'blocks',
    bits,
    block,
    values: inFile(pack(out, blocks * block, number)),
    scales: inFile(bytesOf(scales)),
    ...(zeros ? { zeros: inFile(pack(out, blocks, zero)) } : {}),
  };
  const weight: Matrix = (row, at) => {
    const piece = Math.floor(at / block);
    return Math.fround((number(row, at) - (zeros ? zero(row, piece) : top / 2)) * scale(row, piece));
  };
  return { stored, weight };
};

const layouts = fc.oneof(
  fc.constant('columns' as const),
  fc.record({
    bits: fc.constantFrom<4 | 8>(4, 8),
    block: fc.constantFrom(16, 32),
    zeros: fc.boolean(),
  }),
);
const pieces = fc.array(
  fc.record({ layout: layouts, before: fc.nat(5), width: fc.integer({ min: 1, max: 9 }), after: fc.nat(5) }),
  { minLength: 1, maxLength: 3 },
);

it('are those of the sum of base and change, however the base is stored and divided', async () => {
  await fc.assert(
    fc.asyncProperty(
      pieces,
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 4 }),
      async (blocks, inFeatures, rank) => {
        const rows: ((at: number) => number)[] = [];
        const weights = blocks.map(({ layout, before, width, after }, index) => {
          const columns = before + width + after;
          const plain: Matrix = (out, at) => Math.fround(Math.sin(out * 13 + at * 7 + index));
          const { stored, weight } =
            layout === 'columns'
              ? { stored: asColumns(plain, columns, inFeatures), weight: plain }
              : asBlocks(layout, columns, inFeatures);
          for (let row = 0; row < width; row += 1) rows.push((at) => weight(before + row, at));
          return { stored, columns, first: before, width };
        });
        const outFeatures = rows.length;
        const a = Float32Array.from({ length: rank * inFeatures }, (_, at) => Math.cos(at * 3));
        const b = Float32Array.from({ length: outFeatures * rank }, (_, at) => Math.sin(at * 5));
        const site: Site = { module: 'm', inFeatures, outFeatures, weights };
        const lengths = await rowLengths(site, { rank, a, b });
        for (const [out, row] of rows.entries()) {
          let sum = 0;
          for (let at = 0; at < inFeatures; at += 1) {
            let value = row(at);
            for (let k = 0; k < rank; k += 1) value += b[out * rank + k]! * a[k * inFeatures + at]!;
            sum += value ** 2;
          }
          expect(lengths![out]).toBeCloseTo(Math.sqrt(sum), 9);
        }
      },
    ),
    { numRuns: 60 },
  );
});

it('are not known where the weights cannot be read', async () => {
  const change = { rank: 1, a: new Float32Array(1), b: new Float32Array(1) };
  expect(await rowLengths({ module: 'm', inFeatures: 1, outFeatures: 1 }, change)).toBeUndefined();
});

it('are refused where a file is shorter than its graph says', async () => {
  const { values } = asColumns(() => 1, 4, 4) as { readonly values: FilePart };
  const change = { rank: 1, a: new Float32Array(400), b: new Float32Array(400) };
  const stored: StoredWeights = { kind: 'columns', values: { ...values, length: 1600 * 100 } };
  const site = {
    module: 'm',
    inFeatures: 400,
    outFeatures: 400,
    weights: [{ stored, columns: 400, first: 0, width: 400 }],
  };
  await expect(rowLengths(site, change)).rejects.toMatchObject({ code: 'MODEL_INVALID' });
});
