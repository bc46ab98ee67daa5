import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { foreign } from '../../errors/foreign.ts';
import { type CompiledTensor, type StoredType, storedBytes } from './compiled-file.ts';
import type { TensorEntry } from './safetensors.ts';
import type { WeightEntry } from './scales.ts';
import { widening } from './widen.ts';

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
      `adapter_model.safetensors: tensor ${foreign(name)} has type ${dtype}`,
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
    `adapter_model.safetensors: tensor ${foreign(name)} has ${values[at]} at element ${at} (scaled by ${scale})`,
  );
};

/** Errors: ADAPTER_SCALE_INVALID. */
const checkScales = ({ name }: TensorEntry, scales: Float32Array): void => {
  const at = scales.findIndex((scale) => !(Number.isFinite(scale) && scale > 0));
  if (at < 0) return;
  throw new AdaptletError(
    'ADAPTER_SCALE_INVALID',
    `adapter_model.safetensors: tensor ${foreign(name)} has the scale ${scales[at]} for row ${at}; it must be finite and above 0`,
  );
};

const copyStored = (entry: WeightEntry, data: ArrayBuffer, target: Uint8Array): void => {
  const { scales, begin, end } = entry;
  const values = new Uint8Array(data, begin, end - begin);
  if (scales === undefined) {
    target.set(values);
    return;
  }
  checkScales(scales, new Float32Array(data, scales.begin, scales.shape[0] ?? 0));
  target.set(new Uint8Array(data, scales.begin, scales.end - scales.begin));
  target.set(values, scales.end - scales.begin);
};

/** The values of a tensor as float32 times `scale`. Errors: ADAPTER_NOT_FINITE, ADAPTER_SCALE_INVALID. */
export const floatsOf = (entry: WeightEntry, data: ArrayBuffer, scale: number): Float32Array => {
  const [rows = 0, columns = 1] = entry.shape;
  const dtype = storedTypeOf(entry);
  const stored = new Uint8Array(storedBytes(dtype, [rows, columns]));
  copyStored(entry, data, stored);
  const values = new Float32Array(rows * columns);
  widening({ dtype, shape: [rows, columns], scale }, stored.buffer, 0, values)(0, values.length);
  checkFinite(values, entry.name, scale);
  return values;
};

/**
 * Writes a tensor into a compiled file: as it is stored, or float32 times the scale. `data` is the data section of the
 * artifact's file, whose offsets the reader has checked.
 *
 * Errors: ADAPTER_NOT_FINITE, also when a weight leaves the range of float32 by the scale; ADAPTER_SCALE_INVALID.
 */
export const storeTensor = (
  entry: WeightEntry,
  data: ArrayBuffer,
  scale: number,
  { dtype, offset, length }: Pick<CompiledTensor, 'dtype' | 'offset' | 'length'>,
  file: Uint8Array<ArrayBuffer>,
): void => {
  const values = floatsOf(entry, data, scale);
  const target = file.subarray(offset, offset + length);
  if (dtype === 'float32') target.set(new Uint8Array(values.buffer));
  else copyStored(entry, data, target);
};
