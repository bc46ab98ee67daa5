import { type CompiledTensor, type StoredType, scalesOf } from './compiled-file.ts';

/** Writes the float32 values from index `from` up to `to` of one tensor. */
export type Widen = (from: number, to: number) => void;

type Stored = Pick<CompiledTensor, 'half' | 'dtype' | 'shape' | 'scale'>;

const patterns = 2 ** 16;
const everyPattern = (): Uint16Array<ArrayBuffer> =>
  Uint16Array.from({ length: patterns }, (_, bits) => bits);

const makers = {
  float16: () => Float32Array.from(new Float16Array(everyPattern().buffer)),
  // bfloat16 is the upper half of a float32.
  bfloat16: () => new Float32Array(Uint32Array.from(everyPattern(), (bits) => bits << 16).buffer),
};
const tables = new Map<StoredType, Float32Array>();

/** The value of each of the 65,536 bit patterns: looking one up is faster than any conversion in JavaScript. */
const tableOf = (dtype: 'float16' | 'bfloat16'): Float32Array => {
  const table = tables.get(dtype) ?? makers[dtype]();
  tables.set(dtype, table);
  return table;
};

const sixteenBits =
  (table: Float32Array, source: Uint16Array, target: Float32Array, scale: number): Widen =>
  (from, to) => {
    if (scale === 1) {
      for (let i = from; i < to; i++) target[i] = table[source[i] ?? 0] ?? 0;
    } else {
      for (let i = from; i < to; i++) target[i] = (table[source[i] ?? 0] ?? 0) * scale;
    }
  };

/** Of A: one scale per row. */
const scaledRows =
  (scales: Float32Array, source: Int8Array, target: Float32Array, scale: number): Widen =>
  (from, to) => {
    const columns = source.length / scales.length;
    let at = from;
    for (let row = Math.floor(from / columns); at < to; row++) {
      const ofRow = scales[row] ?? 0;
      const end = Math.min(to, (row + 1) * columns);
      if (scale === 1) for (; at < end; at++) target[at] = (source[at] ?? 0) * ofRow;
      else for (; at < end; at++) target[at] = Math.fround((source[at] ?? 0) * ofRow) * scale;
    }
  };

/** Of B: one scale per column. */
const scaledColumns =
  (scales: Float32Array, source: Int8Array, target: Float32Array, scale: number): Widen =>
  (from, to) => {
    let column = from % scales.length;
    for (let at = from; at < to; at++) {
      target[at] = Math.fround((source[at] ?? 0) * (scales[column] ?? 0)) * scale;
      column = column + 1 === scales.length ? 0 : column + 1;
    }
  };

/**
 * Makes float32 of a stored tensor: value times scale, in double precision, rounded once. The stored bytes begin at
 * `byteOffset` of `buffer`. They and the target may overlap when the target ends no later than they do and values are
 * widened in order.
 */
export const widening = (
  { half, dtype, shape, scale }: Stored,
  buffer: ArrayBuffer,
  byteOffset: number,
  target: Float32Array,
): Widen => {
  const count = shape[0] * shape[1];
  if (dtype === 'float32') {
    const source = new Float32Array(buffer, byteOffset, count);
    return (from, to) => {
      if (scale === 1) target.set(source.subarray(from, to), from);
      else for (let i = from; i < to; i++) target[i] = (source[i] ?? 0) * scale;
    };
  }
  if (dtype === 'int8') {
    // Copied: the target may grow over them.
    const scales = new Float32Array(buffer, byteOffset, scalesOf({ half, shape })).slice();
    const source = new Int8Array(buffer, byteOffset + scales.byteLength, count);
    return (half === 'A' ? scaledRows : scaledColumns)(scales, source, target, scale);
  }
  return sixteenBits(tableOf(dtype), new Uint16Array(buffer, byteOffset, count), target, scale);
};
