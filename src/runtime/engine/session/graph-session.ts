import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { readGraph } from '../onnx/graph.ts';
import { inputOf } from '../onnx/inject.ts';
import { logitsOutput, logitsRowsInput } from '../onnx/logits-rows.ts';
import { PointerTable, StringTable } from '../ort/memory.ts';
import { OnnxSession } from '../ort/session.ts';
import type { OrtTensor } from '../ort/tensor.ts';
import { checkMaker, type Feeds, LoraInputs, type LoraTensors } from './feeds.ts';
import { AppendingCache, InPlaceCache, type KvCache } from './kv-cache.ts';
import { type RunOptions, sessionOptions } from './runtime-options.ts';
import { Int64Buffer, LogitsBuffer } from './step-buffers.ts';
import { attentionMask, inputIds, positionIds, readStepInputs, type StepInputs } from './step-inputs.ts';

export type GraphOptions = RunOptions & {
  /** Folder with the files that the graph names for its weights. */
  readonly weightsFolder: string;
  /** The graph went through ONNX Runtime's optimiser already. */
  readonly optimised: boolean;
  /** Size of one attention head. */
  readonly headSize: number;
};

/** Attention that can write the new keys and values behind the old ones, in the same memory. */
const inPlaceAttention = 'GroupQueryAttention';

const writesInPlace = (graph: Buffer, presents: readonly string[]): boolean => {
  const made = new Set(
    readGraph(graph)
      .nodes.filter(({ opType }) => opType === inPlaceAttention)
      .flatMap(({ outputs }) => outputs),
  );
  return presents.every((name) => made.has(name));
};

/** A loaded decoder graph that runs one step of one sequence at a time. */
export class GraphSession {
  readonly sites: readonly Site[];
  readonly vocabSize: number;
  readonly #session: OnnxSession;
  readonly #step: StepInputs;
  readonly #inPlace: boolean;
  readonly #inputNames: StringTable;
  readonly #outputNames: StringTable;
  readonly #outputs: PointerTable;
  readonly #lora: LoraInputs;
  readonly #ids = new Int64Buffer();
  readonly #rows = new Int64Buffer();
  readonly #ones = new Int64Buffer(() => 1n);
  readonly #positions = new Int64Buffer(BigInt);
  readonly #logits = new LogitsBuffer();

  private constructor(session: OnnxSession, step: StepInputs, sites: readonly Site[], inPlace: boolean) {
    this.#session = session;
    this.#step = step;
    this.#inPlace = inPlace;
    this.sites = sites;
    this.vocabSize = step.vocabSize;
    this.#lora = new LoraInputs(sites);
    const pasts = step.cache.map(({ past }) => past);
    this.#inputNames = new StringTable([...step.names, ...pasts, ...this.#lora.names]);
    this.#outputNames = new StringTable([logitsOutput, ...step.cache.map(({ present }) => present)]);
    this.#outputs = new PointerTable(Array.from({ length: this.#outputNames.length }, () => 0n));
  }

  /**
   * Opens a graph; `sites` are its linears with LoRA inputs.
   * Errors: MODEL_UNSUPPORTED, MODEL_INVALID.
   */
  static async open(graph: Buffer, sites: readonly Site[], options: GraphOptions): Promise<GraphSession> {
    const { optimised, weightsFolder, headSize } = options;
    const session = await OnnxSession.open(graph, {
      ...sessionOptions(options, optimised ? 'none' : 'all'),
      weightsFolder,
    }).catch((cause: unknown) => {
      throw new AdaptletError('MODEL_INVALID', `ONNX Runtime refuses the graph: ${String(cause)}`, { cause });
    });
    try {
      const names = sites.flatMap(({ module }) => [inputOf(module, 'A'), inputOf(module, 'B')]);
      const step = readStepInputs(session, names, headSize);
      const presents = step.cache.map(({ present }) => present);
      return new GraphSession(session, step, sites, writesInPlace(graph, presents));
    } catch (error) {
      session.release();
      throw error;
    }
  }

  /** Room for the keys and values of a sequence of up to `capacity` tokens. */
  newCache(capacity: number): KvCache {
    const { cacheShape } = this.#step;
    return this.#inPlace ? new InPlaceCache(cacheShape, capacity) : new AppendingCache(cacheShape, capacity);
  }

  /**
   * Feeds of an adapter, which own its tensors from now on; a site that it does not target gets rank 0.
   * Errors: INTERNAL when a tensor fits no input.
   */
  feeds(lora: LoraTensors): Feeds {
    const { names, cache } = this.#step;
    return this.#lora.feeds(this, names.length + cache.length, lora);
  }

  /**
   * Sets up a step for the tokens after those in the cache; the result runs it. `rows` are the positions, counted
   * from the first token of this step, whose logits are wanted: one block of vocabSize per row, valid until the next
   * step of this session. Between the two nothing else may be set up.
   */
  prepare(
    feeds: Feeds,
    ids: readonly number[],
    cache: KvCache,
    rows: readonly number[],
  ): () => Promise<Float32Array> {
    checkMaker(feeds, this);
    const total = cache.length + ids.length;
    const { past, present } = cache.step(total);
    const logits = this.#logits.room([1, rows.length, this.vocabSize]);
    const inputs = this.#stepTensors(ids, cache.length, rows);
    for (const [place, tensor] of [...inputs, ...past].entries()) feeds.values.set(place, tensor.value);
    for (const [place, tensor] of [logits.tensor, ...present].entries()) {
      this.#outputs.set(place, tensor.value);
    }
    return async () => {
      try {
        this.#session.resume();
        await this.#session.run(
          { names: this.#inputNames, values: feeds.values },
          { names: this.#outputNames, values: this.#outputs },
        );
        cache.advance(total);
        return logits.values;
      } finally {
        for (const tensor of [...inputs, logits.tensor]) tensor.release();
      }
    };
  }

  /** Ends the step that runs before its next operator: it rejects, and its cache holds what it held. */
  interrupt(): void {
    this.#session.terminate();
  }

  /** Logits of the wanted rows of a sequence of its own. */
  async logitsOf(feeds: Feeds, ids: readonly number[], rows: readonly number[]): Promise<Float32Array> {
    const cache = this.newCache(ids.length);
    try {
      const logits = await this.prepare(feeds, ids, cache, rows)();
      return logits.slice();
    } finally {
      cache.release();
    }
  }

  /** Frees everything but caches and feeds that were made here. Not during a step. */
  release(): void {
    this.#session.release();
    this.#lora.release();
    for (const owned of [this.#inputNames, this.#outputNames, this.#outputs]) owned.free();
    for (const buffer of [this.#ids, this.#rows, this.#ones, this.#positions, this.#logits]) buffer.free();
  }

  /** In the order of {@link StepInputs.names}. */
  #stepTensors(ids: readonly number[], before: number, rows: readonly number[]): readonly OrtTensor[] {
    const tensors: Readonly<Record<string, () => OrtTensor>> = {
      [inputIds]: () => this.#ids.tensorOf(ids, [1, ids.length]),
      [attentionMask]: () => this.#ones.tensor([1, before + ids.length]),
      [logitsRowsInput]: () => this.#rows.tensorOf(rows, [rows.length]),
      [positionIds]: () => this.#positions.tensor([1, ids.length], before),
    };
    return this.#step.names.map((name) => {
      const make = tensors[name];
      if (make === undefined) throw new AdaptletError('INTERNAL', `Nothing feeds the input ${name}`);
      return make();
    });
  }
}
