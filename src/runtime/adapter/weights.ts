import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { foreign } from '../../errors/foreign.ts';
import type { TensorEntry } from './safetensors.ts';

type Floats = Float32Array | Float16Array;

/** Multiplies and copies; the sum of the products with zero is zero exactly when every result is finite. */
const scaleInto = (target: Float32Array, source: Floats, scale: number): boolean => {
  let sum = 0;
  for (let i = 0; i < target.length; i++) {
    const value = (source[i] ?? Number.NaN) * scale;
    target[i] = value;
    sum += (target[i] ?? Number.NaN) * 0;
  }
  return sum === 0;
};

/** bfloat16 is the upper half of a float32. */
const widen = (source: Uint16Array): Float32Array => {
  const bits = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) bits[i] = (source[i] ?? 0) << 16;
  return new Float32Array(bits.buffer);
};

const view = (entry: TensorEntry, data: ArrayBuffer, count: number): Floats => {
  if (entry.dtype === 'F32') return new Float32Array(data, entry.begin, count);
  if (entry.dtype === 'F16') return new Float16Array(data, entry.begin, count);
  return widen(new Uint16Array(data, entry.begin, count));
};

/**
 * Writes a tensor of type F32, F16 or BF16 as float32 times `scale` into `target`, which has its length. `data` is the
 * data section of the file, whose offsets the reader has checked.
 * @throws AdaptletError ADAPTER_NOT_FINITE, also when a weight leaves the range of float32 by the scale
 */
export const writeFloat32 = (
  entry: TensorEntry,
  data: ArrayBuffer,
  scale: number,
  target: Float32Array,
): void => {
  if (scaleInto(target, view(entry, data, target.length), scale)) return;
  const at = target.findIndex((value) => !Number.isFinite(value));
  throw new AdaptletError(
    'ADAPTER_NOT_FINITE',
    `adapter_model.safetensors: tensor ${foreign(entry.name)} has ${target[at]} at element ${at} (scaled by ${scale})`,
  );
};
