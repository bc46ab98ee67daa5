import { copy } from '../ort/libc.ts';
import { NativeMemory } from '../ort/memory.ts';
import type { KvRows } from './kv-rows.ts';

/** Small rows whose heads begin at pages: one page of a head holds 64 tokens. */
export const pagedShape = { entries: 4, kvHeads: 2, headSize: 16, element: 'float32' } as const;

type Shape = { readonly entries: number; readonly kvHeads: number; readonly headSize: number };

/** Float32 numbers at an address. */
export const numbersAt = (address: bigint, count: number): Float32Array => {
  const memory = new NativeMemory(count * Float32Array.BYTES_PER_ELEMENT);
  copy(memory.address, address, memory.bytes);
  const numbers = new Float32Array(memory.buffer).slice(0, count);
  memory.free();
  return numbers;
};

export const putNumbers = (address: bigint, numbers: Float32Array): void => {
  const memory = new NativeMemory(numbers.byteLength);
  new Float32Array(memory.buffer).set(numbers);
  copy(address, memory.address, numbers.byteLength);
  memory.free();
};

/** Where the tokens of each head of each layer of a row are. */
const headsOf = (kv: KvRows, { entries, kvHeads, headSize }: Shape, row: number): readonly bigint[] => {
  const tensors = kv.span(row, 1);
  return Array.from({ length: entries * kvHeads }, (_, head) => {
    const start = tensors[Math.floor(head / kvHeads)]?.address ?? 0n;
    return start + BigInt((head % kvHeads) * kv.capacity * headSize * Float32Array.BYTES_PER_ELEMENT);
  });
};

/** Writes tokens of a row as a step would, from `first` on: another number everywhere, which depends on `seed`. */
export const writeTokens = (
  kv: KvRows,
  shape: Shape,
  row: number,
  tokens: number,
  seed: number,
  first = 0,
): void => {
  if (tokens <= first) return;
  kv.writes(row, tokens);
  const start = first * shape.headSize;
  for (const [head, at] of headsOf(kv, shape, row).entries()) {
    const from = at + BigInt(start * Float32Array.BYTES_PER_ELEMENT);
    putNumbers(from, tokensOf(shape, tokens, seed, head).slice(start));
  }
};

/** Writes one token of a row, as a step does that it rides along in. */
export const writeToken = (kv: KvRows, shape: Shape, row: number, token: number): void => {
  kv.writes(row, token + 1);
  const from = BigInt(token * shape.headSize * Float32Array.BYTES_PER_ELEMENT);
  for (const at of headsOf(kv, shape, row)) putNumbers(at + from, new Float32Array(shape.headSize).fill(-1));
};

const tokensOf = ({ headSize }: Shape, tokens: number, seed: number, head: number): Float32Array => {
  const numbers = new Float32Array(tokens * headSize);
  for (let index = 0; index < numbers.length; index += 1)
    numbers[index] = seed * 1e6 + head * 2e4 + index + 1;
  return numbers;
};

/** What {@link writeTokens} writes, head after head. */
export const writtenTokens = (shape: Shape, tokens: number, seed: number): readonly Float32Array[] =>
  Array.from({ length: shape.entries * shape.kvHeads }, (_, head) => tokensOf(shape, tokens, seed, head));

/** The first tokens of a row, head after head; `first`: from which on. */
export const readTokens = (
  kv: KvRows,
  shape: Shape,
  row: number,
  tokens: number,
  first = 0,
): readonly Float32Array[] =>
  headsOf(kv, shape, row).map((at) =>
    numbersAt(
      at + BigInt(first * shape.headSize * Float32Array.BYTES_PER_ELEMENT),
      (tokens - first) * shape.headSize,
    ),
  );
