import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type { CompileTarget } from './compile-target.ts';
import type { CompiledHead, CompiledHeader, CompiledTensor } from './compiled-file.ts';
import { ramBytesOf } from './file-layout.ts';
import type { WeightsInMemory } from './memory-layout.ts';

/** A compiled file, as whoever keeps adapters has to know it. */
export type CompiledAdapter = {
  readonly file: string;
  /** Of the file. */
  readonly bytes: number;
  /** In the memory of the engine: what the RAM budget is charged. */
  readonly ramBytes: number;
  readonly rank: number;
  readonly targetModules: readonly string[];
  /** Of an adapter that classifies. */
  readonly labels?: readonly string[];
  /** Of its head; `none`: that of a regression, whose values are no probabilities. */
  readonly activation?: CompiledHead['activation'];
};

/**
 * The portable way adds a product and nothing else.
 * @throws ADAPTER_NEEDS_OPERATOR
 */
export const refuseWithoutOperator = (
  tensors: readonly Pick<CompiledTensor, 'half' | 'module'>[],
  weights: WeightsInMemory,
): void => {
  const more =
    weights === 'float32' ? tensors.find(({ half }) => half === 'factors' || half === 'shifts') : undefined;
  if (more === undefined) return;
  const kind = more.half === 'factors' ? 'factors (DoRA, IA3)' : 'biases (lora_bias, bias)';
  throw new AdaptletError(
    'ADAPTER_NEEDS_OPERATOR',
    `the adapter has ${kind} on ${quoteUntrusted(more.module)}, and adapters take the portable way here`,
  );
};

/** @throws ADAPTER_NEEDS_OPERATOR */
export const compiledFrom = (
  file: string,
  header: CompiledHeader,
  weights: WeightsInMemory,
): CompiledAdapter => {
  refuseWithoutOperator(header.tensors, weights);
  const { rank, targetModules, fileBytes, head } = header;
  const ramBytes = ramBytesOf(header, weights);
  const compiled = { file, bytes: fileBytes, ramBytes, rank, targetModules };
  return head === undefined ? compiled : { ...compiled, labels: head.labels, activation: head.activation };
};

/** Reads, validates and converts an adapter off the serving thread. Implemented in src/runtime/adapter. */
export type Compiler = {
  /**
   * Uses the compiled file that is there when it is intact; else calls `verify` and makes it from the folder.
   * @throws the adapter part of the catalogue, STORE_FULL, those of `verify`
   */
  compile(
    adapter: {
      readonly digest: Digest;
      readonly folder: string;
      /** That its compiled file is taken to have: what it had before, else those of the artifact; of some methods it has many more. */
      readonly bytes: number;
      readonly verify: (signal: AbortSignal) => Promise<void>;
      /** Called now and then while it is made. */
      readonly alive?: () => void;
      /** Called each time that room for its file is set aside. */
      readonly onReserved?: () => void;
      /**
       * Has others leave the disk for a file of so many bytes; throws where it may not be. Called with `bytes` once no file that is
       * there can be used, and again where it gets larger. Default: nobody leaves.
       */
      readonly makeRoom?: (bytes: number) => Promise<void>;
    },
    target: CompileTarget,
    signal: AbortSignal,
  ): Promise<CompiledAdapter>;
  /** Deletes the compiled files of an adapter. */
  remove(digest: Digest): Promise<void>;
  /** Of the compiled files of an adapter on the disk; undefined when there is none. */
  bytesOf(digest: Digest): number | undefined;
};
