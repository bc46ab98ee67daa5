import type { Digest } from '../../api/names.ts';
import type { WeightsInMemory } from './memory-layout.ts';

/** A linear of the base model that LoRA can reach. */
export type Site = {
  /** PEFT's module name, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /** Features in and out of the linear. */
  readonly inFeatures: number;
  readonly outFeatures: number;
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
