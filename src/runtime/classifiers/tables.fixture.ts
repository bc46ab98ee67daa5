import * as fc from 'fast-check';
import type { Head, TableParts } from './static-table.ts';

export const vocabulary = ['[PAD]', 'rain', 'sun', 'jazz', 'song', 'court', 'some', 'the'];

/** For tests: an embedding of a token; those of weather, of music and of law point each to one side. */
export const axes = (id: number): Float32Array =>
  Float32Array.from({ length: 6 }, (_, at) => {
    const side = id === 1 || id === 2 ? 0 : id === 3 || id === 4 ? 1 : id === 5 ? 2 : 3;
    return (at === side ? 4 : 0) + Math.sin(id * (at + 1)) / 4;
  });

/** For tests: a table of these. */
export const axisTable = (): TableParts => ({
  dimensions: 6,
  vocabulary,
  normalization: { lowercase: true, stripAccents: true },
  rows: Int8Array.from(
    vocabulary.flatMap((_, id) =>
      id === 0 ? [0, 0, 0, 0, 0, 0] : [...axes(id)].map((one) => Math.round(one * 25)),
    ),
  ),
  scales: new Float32Array(vocabulary.length).fill(0.04),
});

/** For tests: a head of it. */
export const axisHead: Head = {
  labels: ['weather', 'music'],
  weights: Float32Array.from({ length: 12 }, (_, at) => (at === 0 || at === 7 ? 5 : 0)),
  bias: new Float32Array(2),
};

/** For tests: any code points, halves of pairs among them. */
export const anyText = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength })
    .map((points) => String.fromCodePoint(...points));
