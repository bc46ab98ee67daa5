import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { readGraph } from '../onnx/graph.ts';
import { inputOf } from '../onnx/inject.ts';
import { logitsOutput, logitsRowsInput } from '../onnx/logits-rows.ts';
import { NativeMemory, PointerTable, StringTable } from '../ort/memory.ts';
import { OnnxSession } from '../ort/session.ts';
import { OrtTensor } from '../ort/tensor.ts';
import { Feeds, type LoraTensors } from './feeds.ts';
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

/** Tensors without elements need an address too. */
const nowhere = new NativeMemory(0).address;

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
  /** Feeds that say "no adapter here", shared by all that target only some of the sites. */
  readonly #rankZero: LoraTensors;
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
    const lora = sites.flatMap(({ module }) => [inputOf(module, 'A'), inputOf(module, 'B')]);
    this.#inputNames = new StringTable([...step.names, ...step.cache.map(({ past }) => past), ...lora]);
    this.#outputNames = new StringTable([logitsOutput, ...step.cache.map(({ present }) => present)]);
    this.#outputs = new PointerTable(Array.from({ length: this.#outputNames.length }, () => 0n));
    this.#rankZero = rankZeroOf(sites);
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
    const stray = [...lora.keys()].filter((name) => !this.#rankZero.has(name));
    if (stray.length > 0) {
      throw new AdaptletError(
        'INTERNAL',
        `Feeds differ from the graph's inputs: ${stray.slice(0, 5).join(', ')}`,
      );
    }
    const stepValues = Array.from({ length: this.#step.names.length + this.#step.cache.length }, () => 0n);
    const loraValues = [...this.#rankZero].map(([name, none]) => (lora.get(name) ?? none).value);
    return new Feeds(this, new PointerTable([...stepValues, ...loraValues]), [...lora.values()]);
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
    if (feeds.maker !== this) throw new AdaptletError('INTERNAL', 'The feeds are of another session');
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
    for (const tensor of this.#rankZero.values()) tensor.release();
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

/** In the order in which the graph's LoRA inputs are fed. */
export const rankZeroOf = (sites: readonly Site[]): LoraTensors => {
  const none = new Map<string, OrtTensor>();
  for (const { module, inFeatures, outFeatures } of sites) {
    none.set(inputOf(module, 'A'), new OrtTensor('float32', [0, inFeatures], nowhere));
    none.set(inputOf(module, 'B'), new OrtTensor('float32', [outFeatures, 0], nowhere));
  }
  return none;
};
