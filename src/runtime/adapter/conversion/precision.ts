import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import { scaleSuffix } from '../scales.ts';
import type { FileTensor } from './safetensors-file.ts';

export const precisions = ['float16', 'int8'] as const;
export type Precision = (typeof precisions)[number];

/** A matrix of an adapter: float32, row by row. */
export type Matrix = {
  readonly name: string;
  readonly shape: readonly [rows: number, columns: number];
  readonly values: Float32Array;
};

/** A matrix in another precision: what is written, and the float32 values that a node makes of it. */
export type Encoded = { readonly tensors: readonly FileTensor[]; readonly values: Float32Array };

const maxFloat16 = 65_504;
/** Symmetric: -128 is not used. */
const maxInt8 = 127;
const minFloat32 = 2 ** -149;

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * Nearest, ties to even.
 * @throws ADAPTER_FLOAT16_RANGE
 */
const toFloat16 = ({ name, shape, values }: Matrix): Encoded => {
  const at = values.findIndex((value) => Math.abs(value) > maxFloat16);
  if (at >= 0) {
    throw new AdaptletError(
      'ADAPTER_FLOAT16_RANGE',
      `tensor ${quoteUntrusted(name)} has ${values[at]} at element ${at}; float16 ends at ${maxFloat16}`,
    );
  }
  const halves = Float16Array.from(values);
  return {
    tensors: [{ name, dtype: 'F16', shape, data: bytesOf(halves) }],
    values: Float32Array.from(halves),
  };
};

/** A row's scale maps its largest value to 127. A row of zeros takes 1: a scale must be above 0. */
const scaleOf = (row: Float32Array): number => {
  let largest = 0;
  for (const value of row) largest = Math.max(largest, Math.abs(value));
  return largest === 0 ? 1 : Math.max(Math.fround(largest / maxInt8), minFloat32);
};

/** Symmetric, one float32 scale a row, nearest: value = int8 * scale, rounded to float32. */
const toInt8 = ({ name, shape, values }: Matrix): Encoded => {
  const [rows, columns] = shape;
  const scales = new Float32Array(rows);
  const quantised = new Int8Array(values.length);
  const read = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const scale = scaleOf(values.subarray(row * columns, (row + 1) * columns));
    scales[row] = scale;
    for (let at = row * columns; at < (row + 1) * columns; at++) {
      const nearest = Math.round((values[at] ?? 0) / scale);
      quantised[at] = Math.max(-maxInt8, Math.min(maxInt8, nearest));
      read[at] = (quantised[at] ?? 0) * scale;
    }
  }
  return {
    tensors: [
      { name, dtype: 'I8', shape, data: bytesOf(quantised) },
      { name: `${name}${scaleSuffix}`, dtype: 'F32', shape: [rows], data: bytesOf(scales) },
    ],
    values: read,
  };
};

/** @throws ADAPTER_FLOAT16_RANGE */
export const encode = (matrix: Matrix, to: Precision): Encoded =>
  to === 'float16' ? toFloat16(matrix) : toInt8(matrix);

/** What a file of this precision says of itself. */
export const schemes: Readonly<Record<Precision, string>> = {
  float16: 'float16, nearest',
  int8: 'int8, symmetric, one float32 scale for each row in NAME_scale, nearest; value = int8 * scale',
};
