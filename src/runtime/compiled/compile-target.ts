import type { Digest } from '../../api/names.ts';
import type { WeightsInMemory } from './memory-layout.ts';

/** Bytes of a file. */
export type FilePart = { readonly path: string; readonly offset: number; readonly length: number };

/**
 * How a node of the graph stores the weights of its linear: float32 as [in, out] (`columns`); or, as MatMulNBits has them,
 * unsigned integers of 4 or 8 bits as [out, in], each `block` of a row with a float32 scale and a zero point
 * (absent: half of the range).
 */
export type StoredWeights =
  | { readonly kind: 'columns'; readonly values: FilePart }
  | {
      readonly kind: 'blocks';
      readonly bits: 4 | 8;
      readonly block: number;
      readonly values: FilePart;
      readonly scales: FilePart;
      readonly zeros?: FilePart;
    };

/** Output features of a linear: `width` of the `columns` of a node, from `first` on. */
export type WeightBlock = {
  readonly stored: StoredWeights;
  readonly columns: number;
  readonly first: number;
  readonly width: number;
};

/** Output features of a linear, to whose product a float32 each is added behind it, or nothing. */
export type AddedBlock = { readonly width: number; readonly values?: FilePart };

/** A linear of the base model that LoRA can reach. */
export type Site = {
  /** PEFT's module name, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Features in and out of the linear. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  /**
   * Where its weights are, in the order of its output features; absent where they cannot be read, or where something else is
   * added before adapters are.
   */
  readonly weights?: readonly WeightBlock[];
  /** Its bias, as far as that is added behind the product, in the order of its output features; absent where it cannot be told. */
  readonly added?: readonly AddedBlock[];
  /** The linear whose output is multiplied by something else, feature by feature, to be the input of this one and of nothing else. */
  readonly inputFactor?: string;
};

/** What a compiled adapter has to know of an encoder. */
export type EncoderTarget = {
  /** Numbers that a classification head takes; absent where the graph does not give them. */
  readonly headFeatures?: number;
  /** What PEFT may put before the names of all modules, see Family. */
  readonly wrappers: readonly string[];
};

/** What an adapter is compiled for: one base model in one version of the engine, and nothing else. */
export type CompileTarget = {
  readonly baseDigest: Digest;
  /** Version of the compiled format and of ONNX Runtime. */
  readonly engineVersion: string;
  readonly sites: readonly Site[];
  /** How the engine has weights in memory. */
  readonly weights: WeightsInMemory;
  /** Of a base model that embeds. */
  readonly encoder?: EncoderTarget;
};
