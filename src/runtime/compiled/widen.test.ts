import { describe, expect, it } from 'vitest';
import { widening } from './widen.ts';

const every = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const shape = [256, 256] as const;
const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer);

/** Bits of the float32 values; a NaN may have any payload, and no compiled file has one. */
const widened = (dtype: 'float16' | 'bfloat16', scale: number): Float32Array => {
  const target = new Float32Array(every.length);
  widening({ half: 'A', dtype, shape, scale }, every.buffer, 0, target)(0, every.length);
  return target;
};

const bfloat16 = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
};
const half = new Float16Array(every.buffer);

describe('widening', () => {
  it.each([1, 2, 0.7, 16 / Math.sqrt(3)])(
    'gives value times %d rounded once for every bit pattern',
    (scale) => {
      const ofHalf = Float32Array.from(every, (bits) => (half[bits] ?? 0) * scale);
      const ofBrain = Float32Array.from(every, (bits) => bfloat16(bits) * scale);
      expect(widened('float16', scale)).toEqual(ofHalf);
      expect(widened('bfloat16', scale)).toEqual(ofBrain);
      // toEqual takes 0 for -0 apart from bits: these are finite ones by their bits.
      expect(bitsOf(widened('float16', scale)).slice(0, 0x7c00)).toEqual(bitsOf(ofHalf).slice(0, 0x7c00));
      expect(bitsOf(widened('float16', scale)).slice(0x8000, 0xfc00)).toEqual(
        bitsOf(ofHalf).slice(0x8000, 0xfc00),
      );
    },
  );

  it('gives int8 times the scale of its row in float32, then times the scale of the tensor', () => {
    const scales = Float32Array.from({ length: 100 }, (_, row) => (row + 1) / 7);
    const values = Int8Array.from({ length: 25_600 }, (_, at) => at);
    const stored = new Uint8Array([...new Uint8Array(scales.buffer), ...new Uint8Array(values.buffer)]);
    const target = new Float32Array(values.length);
    widening(
      { half: 'A', dtype: 'int8', shape: [100, 256], scale: 0.3 },
      stored.buffer,
      0,
      target,
    )(0, values.length);
    const rounded = Float32Array.from(values, (value, at) => value * (scales[at >> 8] ?? 0));
    expect(target).toEqual(Float32Array.from(rounded, (value) => value * 0.3));
    // Rounding once gives other bits.
    expect(target).not.toEqual(
      Float32Array.from(values, (value, at) => value * (scales[at >> 8] ?? 0) * 0.3),
    );
  });

  it('gives int8 of a B times the scale of its column', () => {
    const scales = Float32Array.of(0.1, 10, 3);
    const values = Int8Array.of(1, 2, 3, -4, 5, -128);
    const stored = new Uint8Array([...new Uint8Array(scales.buffer), ...new Uint8Array(values.buffer)]);
    const target = new Float32Array(6);
    widening({ half: 'B', dtype: 'int8', shape: [2, 3], scale: 0.3 }, stored.buffer, 0, target)(0, 6);
    const rounded = Float32Array.from(values, (value, at) => value * (scales[at % 3] ?? 0));
    expect(target).toEqual(Float32Array.from(rounded, (value) => value * 0.3));
  });

  it.each([
    ['A', 'float32'],
    ['A', 'float16'],
    ['A', 'int8'],
    ['B', 'int8'],
  ] as const)('gives the same in parts as at once for %s of %s', (side, dtype) => {
    const stored = new Uint8Array(4 * 35 + 20).map((_, i) => (i * 37) % 61);
    const whole = new Float32Array(35);
    widening({ half: side, dtype, shape: [5, 7], scale: 1.5 }, stored.buffer, 0, whole)(0, 35);
    const parts = new Float32Array(35);
    const widen = widening({ half: side, dtype, shape: [5, 7], scale: 1.5 }, stored.buffer, 0, parts);
    for (const [from, to] of [
      [0, 3],
      [3, 17],
      [17, 18],
      [18, 35],
    ] as const)
      widen(from, to);
    expect(parts).toEqual(whole);
  });
});
