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
/** Magic, length and checksum of the header. */
export const preambleBytes = 16;
export const tensorAlignment = 64;

/** Version of the format: 5 has factors and shifts, 4 says nothing of memory, 3 stores B transposed, 2 stored it as PEFT has it, 1 stored float32. */
export const compiledFormat = 5;

/**
 * How a tensor is stored. Of int8, the float32 scales of its features come first, then the values; a value stands for
 * int8 times the scale of its feature, rounded to float32. Features are the rows of a half as PEFT has it: the ranks of
 * A, and the output features of B, which are columns here.
 */
export const storedTypes = ['float32', 'float16', 'bfloat16', 'int8'] as const;
export type StoredType = (typeof storedTypes)[number];

/**
 * The tensors of a pair, which gives factors · (W x + B A x) + shifts. A and B are its halves; factors are of DoRA, shifts of
 * `lora_bias`, float32 always.
 */
export const compiledParts = ['A', 'B', 'factors', 'shifts'] as const;
export type CompiledPart = (typeof compiledParts)[number];

/**
 * One tensor of a LoRA pair. A: [rank, inFeatures]. B: [rank, outFeatures], transposed, so that adapters of different ranks
 * stand one behind the other without gaps. factors, shifts: [1, outFeatures]. What the engine computes with is a stored value
 * times `scale`, rounded to float32 once.
 */
export type CompiledTensor = {
  readonly module: string;
  readonly half: CompiledPart;
  readonly shape: readonly [number, number];
  readonly dtype: StoredType;
  /** Of a B its alpha/rank; 1 of an A, and of float32, which is stored as it is computed with. */
  readonly scale: number;
  /** Bytes from the start of the file, and length in bytes. */
  readonly offset: number;
  readonly length: number;
  readonly crc32: number;
};

type Stored = Pick<CompiledTensor, 'half' | 'shape' | 'dtype'>;

/** Scales that an int8 tensor has. */
export const scalesOf = ({ half, shape }: Pick<Stored, 'half' | 'shape'>): number =>
  half === 'A' ? shape[0] : shape[1];

/** Bytes that a tensor takes in a file. */
export const storedBytes = (tensor: Stored): number => {
  const { dtype, shape } = tensor;
  const values = shape[0] * shape[1];
  if (dtype === 'float32') return values * Float32Array.BYTES_PER_ELEMENT;
  if (dtype === 'int8') return scalesOf(tensor) * Float32Array.BYTES_PER_ELEMENT + values;
  return values * Uint16Array.BYTES_PER_ELEMENT;
};

/** Where a part of a head is in the file, float32 row by row. */
type HeadPart = { readonly offset: number; readonly length: number; readonly crc32: number };

/** The linear of a sequence classifier: logits = weight · pooled + bias. weight: [labels, features]; bias: [labels]. */
export type CompiledHead = {
  readonly labels: readonly string[];
  /** What makes probabilities of the logits. */
  readonly activation: 'softmax' | 'sigmoid' | 'none';
  readonly weight: HeadPart;
  readonly bias: HeadPart;
};

export type CompiledHeader = {
  readonly format: typeof compiledFormat;
  readonly adapterDigest: Digest;
  readonly baseDigest: Digest;
  readonly engineVersion: string;
  /** The largest rank of any pair. */
  readonly rank: number;
  readonly targetModules: readonly string[];
  readonly tensors: readonly CompiledTensor[];
  /** Of an adapter that classifies. */
  readonly head?: CompiledHead | undefined;
  /** Length of the whole file in bytes. */
  readonly fileBytes: number;
};
