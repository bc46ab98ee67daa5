import { InferenceSession, Tensor } from 'onnxruntime-node';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { inputOf } from '../onnx/inject.ts';
import { logitsOutput, logitsRowsInput } from '../onnx/logits-rows.ts';
import { sessionOptions } from './runtime-options.ts';
import { attentionMask, inputIds, positionIds, readStepInputs, type StepInputs } from './step-inputs.ts';

/** One half of an adapter's pairs for every site that it targets, by graph input. */
export type LoraTensors = ReadonlyMap<string, Tensor>;

/**
 * Everything that one adapter feeds, built once: building 420 entries per step would cost as much as the switch
 * itself. It can only be made by the session that it is for, with exactly that session's inputs.
 */
export type Feeds = { readonly tensors: Record<string, Tensor> };

/** Keys and values of the tokens so far. */
export type KvCache = { readonly length: number; readonly tensors: readonly Tensor[] };

export type StepResult = { readonly logits: Float32Array; readonly cache: KvCache };

export type GraphOptions = {
  /** Folder with the files that the graph names for its weights. */
  readonly weightsFolder: string;
  /** The graph went through ONNX Runtime's optimiser already. */
  readonly optimised: boolean;
  readonly threads: number;
  /** Size of one attention head. */
  readonly headSize: number;
};

/** A loaded graph that runs one sequence at a time. */
export class GraphSession {
  readonly sites: readonly Site[];
  readonly #session: InferenceSession;
  readonly #inputs: StepInputs;
  readonly #emptyCache: KvCache;
  #ones = new BigInt64Array(0);

  private constructor(
    session: InferenceSession,
    inputs: StepInputs,
    sites: readonly Site[],
    headSize: number,
  ) {
    this.#session = session;
    this.#inputs = inputs;
    this.sites = sites;
    const shape = [1, inputs.kvHeads, 0, headSize];
    const empty = new Tensor('float32', new Float32Array(0), shape);
    this.#emptyCache = { length: 0, tensors: inputs.cache.map(() => empty) };
  }

  /**
   * Opens a graph; `sites` are its linears with LoRA inputs.
   * Errors: MODEL_UNSUPPORTED, MODEL_INVALID.
   */
  static async open(graph: Buffer, sites: readonly Site[], options: GraphOptions): Promise<GraphSession> {
    const level = options.optimised ? 'disabled' : 'all';
    const config = { model_external_initializers_file_folder_path: options.weightsFolder };
    const session = await InferenceSession.create(
      graph,
      sessionOptions(options.threads, level, config),
    ).catch((cause: unknown) => {
      throw new AdaptletError('MODEL_INVALID', `ONNX Runtime refuses the graph: ${String(cause)}`, { cause });
    });
    try {
      const names = sites.flatMap(({ module }) => [inputOf(module, 'A'), inputOf(module, 'B')]);
      return new GraphSession(session, readStepInputs(session, names), sites, options.headSize);
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  emptyCache(): KvCache {
    return this.#emptyCache;
  }

  /** Feeds of an adapter; a site that it does not target gets rank 0. Errors: INTERNAL when a tensor fits no input. */
  feeds(lora: LoraTensors): Feeds {
    const tensors: Record<string, Tensor> = {};
    const none = new Tensor('int64', new BigInt64Array(0), [0]);
    for (const name of this.#inputs.names) tensors[name] = none;
    for (const { module, inFeatures, outFeatures } of this.sites) {
      const a = inputOf(module, 'A');
      const b = inputOf(module, 'B');
      tensors[a] = lora.get(a) ?? new Tensor('float32', new Float32Array(0), [0, inFeatures]);
      tensors[b] = lora.get(b) ?? new Tensor('float32', new Float32Array(0), [outFeatures, 0]);
    }
    const known = new Set(this.#session.inputNames);
    const stray = [...lora.keys(), ...Object.keys(tensors)].filter((name) => !known.has(name));
    if (stray.length > 0 || Object.keys(tensors).length !== known.size) {
      throw new AdaptletError(
        'INTERNAL',
        `Feeds differ from the graph's inputs: ${stray.slice(0, 5).join(', ')}`,
      );
    }
    // From here on only values change: a name that the graph does not know cannot get in.
    return { tensors: Object.seal(tensors) };
  }

  /**
   * Sets up a step for the tokens after those in the cache; the result runs it. `rows` are the positions, counted
   * from the first token of this step, whose logits are wanted: one block of vocabSize per row. Between the two
   * nothing else may be set up with the same feeds.
   */
  prepare(
    feeds: Feeds,
    ids: readonly number[],
    cache: KvCache,
    rows: readonly number[],
  ): () => Promise<StepResult> {
    const { tensors } = feeds;
    const total = cache.length + ids.length;
    tensors[inputIds] = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
    tensors[attentionMask] = new Tensor('int64', this.#mask(total), [1, total]);
    tensors[logitsRowsInput] = new Tensor('int64', BigInt64Array.from(rows, BigInt), [rows.length]);
    if (this.#inputs.hasPositions) {
      const positions = BigInt64Array.from(ids, (_, index) => BigInt(cache.length + index));
      tensors[positionIds] = new Tensor('int64', positions, [1, ids.length]);
    }
    this.#setPast(tensors, cache);
    return async () => {
      try {
        const outputs = await this.#session.run(tensors);
        const present = this.#inputs.cache.map((entry) => outputOf(outputs, entry.present));
        return {
          logits: outputOf(outputs, logitsOutput).data as Float32Array,
          cache: { length: total, tensors: present },
        };
      } finally {
        // The feeds live as long as the adapter; the cache must not.
        this.#setPast(tensors, this.#emptyCache);
      }
    };
  }

  /** {@link prepare}, and the step. */
  async run(
    feeds: Feeds,
    ids: readonly number[],
    cache: KvCache,
    rows: readonly number[],
  ): Promise<StepResult> {
    return await this.prepare(feeds, ids, cache, rows)();
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #setPast(tensors: Record<string, Tensor>, cache: KvCache): void {
    for (const [index, { past }] of this.#inputs.cache.entries()) {
      const tensor = cache.tensors[index];
      if (tensor === undefined) throw new AdaptletError('INTERNAL', `The KV cache has no tensor for ${past}`);
      tensors[past] = tensor;
    }
  }

  /** A row of ones, from one buffer that grows. */
  #mask(length: number): BigInt64Array {
    if (this.#ones.length < length) this.#ones = new BigInt64Array(2 * length).fill(1n);
    return this.#ones.subarray(0, length);
  }
}

const outputOf = (outputs: InferenceSession.OnnxValueMapType, name: string): Tensor => {
  const tensor = outputs[name];
  if (tensor === undefined) throw new AdaptletError('INTERNAL', `ONNX Runtime gave no output ${name}`);
  return tensor;
};
