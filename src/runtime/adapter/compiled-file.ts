import type { Digest } from '../../api/names.ts';

/**
 * The compiled form of an adapter, ready for one base model and one engine version. One immutable file:
 *
 *   0   8 bytes  magic `ADPTLT01`
 *   8   u32 LE   length of the header in bytes
 *   12  u32 LE   crc32 of the header
 *   16  header   JSON, UTF-8, {@link CompiledHeader}
 *   …            tensors, each at a multiple of 64 bytes from the start of the file, zero bytes between
 */
export const compiledMagic = 'ADPTLT01';
export const tensorAlignment = 64;

/** One half of a LoRA pair. A: [rank, inFeatures]. B: [outFeatures, rank], already multiplied by alpha/rank. */
export type CompiledTensor = {
  readonly module: string;
  readonly half: 'A' | 'B';
  readonly shape: readonly [number, number];
  /** Bytes from the start of the file, and length in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly crc32: number;
};

/** Where a part of a head is in the file, float32 row by row. */
type CompiledPart = { readonly offset: number; readonly length: number; readonly crc32: number };

/** The linear of a sequence classifier: logits = weight · pooled + bias. weight: [labels, features]; bias: [labels]. */
export type CompiledHead = {
  readonly labels: readonly string[];
  /** What makes probabilities of the logits. */
  readonly activation: 'softmax' | 'sigmoid' | 'none';
  readonly weight: CompiledPart;
  readonly bias: CompiledPart;
};

export type CompiledHeader = {
  readonly format: 1;
  readonly adapterDigest: Digest;
  readonly baseDigest: Digest;
  readonly engineVersion: string;
  readonly dtype: 'float32';
  /** The largest rank of any pair. */
  readonly rank: number;
  readonly targetModules: readonly string[];
  readonly tensors: readonly CompiledTensor[];
  /** Of an adapter that classifies. */
  readonly head?: CompiledHead | undefined;
  /** Length of the whole file in bytes. */
  readonly fileBytes: number;
};
