import { type FixtureTensor, safetensors } from '../../runtime/adapter/peft-folder.fixture.ts';

/** Numbers in [0, 2^32) that depend on a seed alone (mulberry32). */
export const randomOf = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
};

/** Random bytes. */
export const noise = (bytes: number, seed: number): Uint8Array => {
  const random = randomOf(seed);
  return Uint8Array.from({ length: bytes }, () => random() >>> 24);
};

/** A weights file of two F16 tensors of so many bytes together, of random bytes. */
export const weightsOf = (seed: number, bytes = 160 * 1024): Buffer => {
  const tensor = (of: number): FixtureTensor => ({
    dtype: 'F16',
    shape: [bytes / 4],
    data: noise(bytes / 2, of),
  });
  return safetensors({ a: tensor(seed), b: tensor(seed + 1) });
};

/** The same after a step of training: low bytes changed in one of 50 numbers. */
export const trainedFrom = (weights: Buffer, seed: number): Buffer => {
  const random = randomOf(seed);
  const next = Buffer.from(weights);
  const start = 8 + Number(weights.readBigUInt64LE());
  for (let at = start; at < next.length; at += 2)
    if (random() % 50 === 0) next[at] = (next[at] ?? 0) ^ (random() & 3);
  return next;
};
