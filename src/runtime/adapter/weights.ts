import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { CompiledTensor, StoredType } from '../compiled/compiled-file.ts';
import { widening } from '../compiled/widen.ts';
import type { TensorEntry } from './safetensors.ts';
import type { WeightEntry } from './scales.ts';

const storedAs: Readonly<Record<string, StoredType>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I8: 'int8',
};

/** How a compiled file stores a tensor of this type. The reader has checked that it is one of four. */
export const storedTypeOf = ({ name, dtype }: TensorEntry): StoredType => {
  const stored = Object.hasOwn(storedAs, dtype) ? storedAs[dtype] : undefined;
  if (stored === undefined) {
    throw new AdaptletError(
      'ADAPTER_DTYPE',
      `adapter_model.safetensors: tensor ${quoteUntrusted(name)} has type ${dtype}`,
    );
  }
  return stored;
};

/** The sum of the products with zero is zero exactly when every value is finite. */
const allFinite = (values: Float32Array): boolean => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] ?? Number.NaN) * 0;
  return sum === 0;
};

const checkFinite = (values: Float32Array, name: string, scale: number): void => {
  if (allFinite(values)) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  throw new AdaptletError(
    'ADAPTER_NOT_FINITE',
    `adapter_model.safetensors: tensor ${quoteUntrusted(name)} has ${values[at]} at element ${at} (scaled by ${scale})`,
  );
};

/** @throws ADAPTER_SCALE_INVALID */
const checkScales = ({ name }: TensorEntry, scales: Float32Array): void => {
  const at = scales.findIndex((scale) => !(Number.isFinite(scale) && scale > 0));
  if (at < 0) return;
  throw new AdaptletError(
    'ADAPTER_SCALE_INVALID',
    `adapter_model.safetensors: tensor ${quoteUntrusted(name)} has the scale ${scales[at]} for row ${at}; it must be finite and above 0`,
  );
};

/**
 * The scales of an int8 tensor, none of other types.
 * @throws ADAPTER_SCALE_INVALID
 */
const scalesFrom = ({ scales }: WeightEntry, data: ArrayBuffer): Float32Array => {
  if (scales === undefined) return new Float32Array(0);
  const values = new Float32Array(data.slice(scales.begin, scales.end));
  checkScales(scales, values);
  return values;
};

const views = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
} as const;

/** A tensor as the artifact has it. */
type Source = {
  readonly dtype: StoredType;
  readonly scales: Float32Array;
  readonly values: Float32Array | Uint16Array | Int8Array;
  readonly shape: readonly [number, number];
};

const sourceOf = (entry: WeightEntry, data: ArrayBuffer): Source => {
  const [rows = 0, columns = 1] = entry.shape;
  const dtype = storedTypeOf(entry);
  const values = new views[dtype](data.slice(entry.begin, entry.end));
  return { dtype, scales: scalesFrom(entry, data), values, shape: [rows, columns] };
};

const bytesOf = (values: Source['values']): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

type Matrix = Float32Array | Uint16Array | Int8Array;

/** A matrix of these rows and columns with both exchanged, in memory of its own. */
export const transposed = <T extends Matrix>(values: T, rows: number, columns: number): T => {
  const result = values.slice() as T;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column] ?? 0;
    }
  }
  return result;
};

/** Scales and values of a tensor, one behind the other. */
const stored = ({ scales, values }: Pick<Source, 'scales' | 'values'>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(scales.byteLength + values.byteLength);
  bytes.set(bytesOf(scales));
  bytes.set(bytesOf(values), scales.byteLength);
  return bytes;
};

/**
 * The values as float32 times `scale`.
 * @throws ADAPTER_NOT_FINITE
 */
const widened = (source: Source, name: string, scale: number): Float32Array => {
  const { dtype, shape } = source;
  const values = new Float32Array(shape[0] * shape[1]);
  // As the artifact has it, the features of both halves are rows.
  widening({ half: 'A', dtype, shape, scale }, stored(source).buffer, 0, values)(0, values.length);
  checkFinite(values, name, scale);
  return values;
};

/**
 * The values of a tensor as float32 times `scale`.
 * @throws ADAPTER_NOT_FINITE, ADAPTER_SCALE_INVALID
 */
export const floatsOf = (entry: WeightEntry, data: ArrayBuffer, scale: number): Float32Array =>
  widened(sourceOf(entry, data), entry.name, scale);

/**
 * Writes a tensor into a compiled file: as it is stored, or float32 times the scale, and B transposed. `data` is the
 * data section of the artifact's file, whose offsets the reader has checked.
 * @throws ADAPTER_NOT_FINITE, also when a weight leaves the range of float32 by the scale; ADAPTER_SCALE_INVALID
 */
export const storeTensor = (
  entry: WeightEntry,
  data: ArrayBuffer,
  scale: number,
  tensor: Pick<CompiledTensor, 'dtype' | 'offset' | 'length'> & { readonly half?: CompiledTensor['half'] },
  file: Uint8Array<ArrayBuffer>,
): void => {
  const { dtype, offset, length, half } = tensor;
  const source = sourceOf(entry, data);
  const floats = widened(source, entry.name, scale);
  const [rows, columns] = source.shape;
  const matrix = <T extends Matrix>(values: T): T =>
    half === 'B' ? transposed(values, rows, columns) : values;
  const target = file.subarray(offset, offset + length);
  if (dtype === 'float32') target.set(bytesOf(matrix(floats)));
  else target.set(stored({ scales: source.scales, values: matrix(source.values) }));
};
