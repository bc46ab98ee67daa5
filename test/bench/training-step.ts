import { randomOf } from '../../src/artifact/delta/weights.fixture.ts';
import { type FixtureTensor, safetensors } from '../../src/runtime/adapter/peft-folder.fixture.ts';

export const dtypes = ['F16', 'BF16', 'F32'] as const;
export type Dtype = (typeof dtypes)[number];

/** Numbers of a normal distribution around zero, in pairs (Box and Muller 1958). */
const gaussian = (seed: number): (() => number) => {
  const random = randomOf(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log((random() + 1) / 2 ** 32));
    const angle = (2 * Math.PI * random()) / 2 ** 32;
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
};

/** Weights in float32, as an optimizer keeps them: standard deviation 0.02. */
export const masterWeights = (length: number, seed: number): Float32Array => {
  const next = gaussian(seed);
  return Float32Array.from({ length }, () => 0.02 * next());
};

/** The same after training that moved each by `change` of their standard deviation. */
export const trained = (weights: Float32Array, change: number, seed: number): Float32Array => {
  const next = gaussian(seed);
  return weights.map((value) => value + 0.02 * change * next());
};

const stored: Readonly<Record<Dtype, (weights: Float32Array) => Uint8Array>> = {
  F32: (weights) => new Uint8Array(weights.slice().buffer),
  F16: (weights) => new Uint8Array(Float16Array.from(weights).buffer),
  BF16: (weights) => {
    const bits = new Uint32Array(weights.slice().buffer);
    // To the nearest, ties to even.
    return new Uint8Array(Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16).buffer);
  },
};

/** A safetensors file of tensors of `numbers` weights each. */
export const fileOf = (weights: Float32Array, dtype: Dtype, numbers: number): Uint8Array => {
  const tensors: Record<string, FixtureTensor> = {};
  for (let at = 0; at < weights.length; at += numbers) {
    const data = stored[dtype](weights.subarray(at, at + numbers));
    tensors[`layers.${at / numbers}.weight`] = { dtype, shape: [numbers], data };
  }
  return safetensors(tensors);
};
