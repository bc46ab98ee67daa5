import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { checkMaker, type Feeds, type LoraWay, type MixedFeeds } from '../adapters/feeds.ts';
import { loraWayOf } from '../adapters/lora-way.ts';
import type { Pairs } from '../adapters/pairs.ts';
import { type Graph, readGraph } from '../onnx/graph.ts';
import { logitsOutput, logitsRowsInput } from '../onnx/logits-rows.ts';
import { type PositionTables, tableRowsInput } from '../onnx/position-tables.ts';
import { rowInputs, rowsInPlace, writesInPlace } from '../onnx/rows-in-place.ts';
import { PointerTable, StringTable } from '../ort/memory.ts';
import { type Operators, takeOperators } from '../ort/profile.ts';
import { cpuProvider } from '../ort/providers.ts';
import type { OnnxSession } from '../ort/session.ts';
import { elementBytes, elementsOf, elementTypeOf, type OrtTensor } from '../ort/tensor.ts';
import { AppendingCache, type CacheShape, InPlaceCache, type KvCache, tokenBytes } from './kv-cache.ts';
import { KvRows, rowTokens } from './kv-rows.ts';
import { type GraphOptions, openGraph } from './open-graph.ts';
import { type PlacedRows, RowPlaces } from './row-places.ts';
import { Int64Buffer, LogitsBuffer, MaskBuffer } from './step-buffers.ts';
import { attentionMask, inputIds, positionIds, readStepInputs, type StepInputs } from './step-inputs.ts';

export type DecoderGraphOptions = GraphOptions & {
  /** Size of one attention head. */
  readonly headSize: number;
  /** Those of the graph, where it has two. */
  readonly tables?: PositionTables | undefined;
};

/**
 * Sequences of one step: their tokens, as many of each, and how many of each are in the cache already. `lengths`: how many each
 * has, those of later steps included; absent: it ends with this step.
 */
export type StepRows = {
  readonly ids: readonly (readonly number[])[];
  readonly before: readonly number[];
  readonly lengths?: readonly number[];
  /**
   * Places of those whose logits are read, ascending: a graph that pads rows runs these only, and the logits of others are anything.
   * Absent: all.
   */
  readonly read?: readonly number[];
};

/** Keys and values that a step feeds and fills, of all layers. */
export type StepCache = { readonly past: readonly OrtTensor[]; readonly present: readonly OrtTensor[] };

const chosen = ({ ids, before, lengths }: StepRows, read: readonly number[]): StepRows => {
  const of = <T>(all: readonly T[]): readonly T[] => all.filter((_, row) => read.includes(row));
  return { ids: of(ids), before: of(before), ...(lengths === undefined ? {} : { lengths: of(lengths) }) };
};

const bytesOfWeights = ({ initializers }: Graph): number =>
  [...initializers.values()].reduce((sum, { dims, dataType }) => {
    const type = elementTypeOf(dataType);
    return sum + elementsOf(dims) * (type === undefined ? 2 : elementBytes(type));
  }, 0);

/** What padding is copied, as often as attention of such graphs does: measured, docs/adr/0050. */
const paddingCopies = 10;

/** A loaded decoder graph that runs one step at a time. */
export class DecoderSession {
  readonly sites: readonly Site[];
  readonly vocabSize: number;
  /** A step writes keys and values where those before them are: sequences can run together. */
  readonly inPlace: boolean;
  /** Of rows of different lengths, the graph sees the shorter ones with padding before them. */
  readonly padded: boolean;
  /** It takes the position of each token. */
  readonly positions: boolean;
  /** Tokens of padding that take as long as a step of its own. */
  readonly paddingPerStep: number;
  /** Inputs with keys and values of earlier tokens, in the order of {@link StepCache}. */
  readonly pasts: readonly string[];
  readonly cacheShape: CacheShape;
  readonly #session: OnnxSession;
  readonly #step: StepInputs;
  readonly #tables: PositionTables | undefined;
  readonly #inputNames: StringTable;
  readonly #outputNames: StringTable;
  readonly #outputs: PointerTable;
  readonly #lora: LoraWay;
  readonly #ids = new Int64Buffer();
  readonly #rows = new Int64Buffer();
  readonly #ones = new Int64Buffer(() => 1n);
  readonly #mask = new MaskBuffer();
  readonly #positions = new Int64Buffer(BigInt);
  readonly #rowPositions = new Int64Buffer();
  readonly #tableRows = new Int64Buffer();
  readonly #places = new RowPlaces();
  readonly #logits = new LogitsBuffer();

  private constructor(
    session: OnnxSession,
    step: StepInputs,
    sites: readonly Site[],
    {
      inPlace,
      tables,
      lora,
      weightBytes,
    }: {
      readonly inPlace: boolean;
      readonly tables: PositionTables | undefined;
      readonly lora: LoraWay;
      readonly weightBytes: number;
    },
  ) {
    this.#session = session;
    this.#step = step;
    this.inPlace = inPlace;
    this.padded = step.names.includes(rowInputs.past);
    this.positions = step.names.includes(positionIds);
    this.#tables = tables;
    this.sites = sites;
    this.vocabSize = step.vocabSize;
    this.#lora = lora;
    this.pasts = step.cache.map(({ past }) => past);
    this.cacheShape = step.cacheShape;
    this.paddingPerStep = this.padded ? weightBytes / paddingCopies / tokenBytes(step.cacheShape) : Infinity;
    this.#inputNames = new StringTable([...step.names, ...this.pasts, ...this.#lora.names]);
    this.#outputNames = new StringTable([logitsOutput, ...step.cache.map(({ present }) => present)]);
    this.#outputs = new PointerTable(Array.from({ length: this.#outputNames.length }, () => 0n));
  }

  /**
   * Opens a graph; `sites` are its linears with LoRA inputs.
   * @throws MODEL_UNSUPPORTED, MODEL_INVALID
   */
  static async open(
    graph: Buffer,
    sites: readonly Site[],
    options: DecoderGraphOptions,
  ): Promise<DecoderSession> {
    const { headSize, tables } = options;
    const exported = readGraph(graph);
    const writes = writesInPlace(exported);
    // Other providers copy what they are fed, and what they give: all the room that there is.
    const onCpu = (options.provider ?? cpuProvider) === cpuProvider;
    const changed = writes || !onCpu ? undefined : rowsInPlace(exported, headSize);
    const session = await openGraph(changed ?? graph, options);
    try {
      const lora = loraWayOf(sites, session.inputs);
      const step = readStepInputs(session, lora.names, headSize);
      if (step.names.includes(tableRowsInput) !== (tables !== undefined)) {
        throw new AdaptletError('INTERNAL', `The graph has ${tables ? 'no' : 'an'} input ${tableRowsInput}`);
      }
      const weightBytes = bytesOfWeights(exported);
      const inPlace = writes || changed !== undefined;
      return new DecoderSession(session, step, sites, { inPlace, tables, lora, weightBytes });
    } catch (error) {
      session.release();
      throw error;
    }
  }

  /**
   * Room for the keys and values of sequences that decode together; undefined where the graph appends them to what it
   * was fed, in other memory: such a graph takes one sequence at a time. Any graph of the same base model may use it.
   */
  newRows(size: { readonly rows: number; readonly capacity: number }): KvRows | undefined {
    return this.inPlace ? new KvRows(this.cacheShape, size) : undefined;
  }

  /**
   * The table of positions of a sequence of so many tokens. Keys that were computed with another one are of no use to it: a
   * sequence that changes its table is computed again from its first token.
   */
  tableOf(tokens: number): 'short' | 'long' {
    return this.#tables !== undefined && tokens > this.#tables.above ? 'long' : 'short';
  }

  /** Tokens of one sequence whose keys and values fit so many bytes. */
  tokensIn(bytes: number): number {
    const { cacheShape } = this;
    return this.inPlace ? rowTokens(cacheShape, bytes) : Math.floor(bytes / 2 / tokenBytes(cacheShape));
  }

  /** Bytes that the cache of a sequence of so many tokens takes, apart from rows. */
  cacheBytes(tokens: number): number {
    return (this.inPlace ? 1 : 2) * tokens * tokenBytes(this.cacheShape);
  }

  /** Room for the keys and values of a sequence of up to `capacity` tokens. */
  newCache(capacity: number): KvCache {
    const { cacheShape } = this;
    return this.inPlace ? new InPlaceCache(cacheShape, capacity) : new AppendingCache(cacheShape, capacity);
  }

  /** How it takes the weights of adapters. */
  get weights(): LoraWay['weights'] {
    return this.#lora.weights;
  }

  /**
   * Feeds of an adapter, whose pairs stay where they are for as long; nothing is added at linears without one.
   * @throws INTERNAL when a pair fits no linear
   */
  feeds(pairs: Pairs): Feeds {
    return this.#lora.feeds(this, this.#fed, pairs);
  }

  /** For rows with an adapter of each; undefined where all rows of a step have the same one. */
  mixed(): MixedFeeds | undefined {
    return this.#lora.mixed?.(this, this.#fed);
  }

  /**
   * Sets up a step for the tokens after those in the cache; the result runs it. `rows` are the positions, counted
   * from the first token of this step, whose logits are wanted: one block of vocabSize per row, valid until the next
   * step of this session. Between the two nothing else may be set up. `length`: see {@link StepRows}.
   */
  prepare(
    feeds: Feeds,
    ids: readonly number[],
    cache: KvCache,
    rows: readonly number[],
    length = cache.length + ids.length,
  ): () => Promise<Float32Array> {
    const total = cache.length + ids.length;
    const step = { ids: [ids], before: [cache.length], lengths: [length] };
    const run = this.prepareRows(feeds, step, cache.step(total), rows);
    return async () => {
      const logits = await run();
      cache.advance(total);
      return logits;
    };
  }

  /**
   * As {@link prepare}, for several sequences whose keys and values are next to each other: logits of the wanted positions
   * row by row. Rows with different numbers of tokens before take one token each: of more, attention would need to know
   * where each begins.
   */
  prepareRows(
    feeds: Feeds,
    rows: StepRows,
    { past, present }: StepCache,
    wanted: readonly number[],
  ): () => Promise<Float32Array> {
    checkMaker(feeds, this);
    const read = this.padded && rows.read !== undefined ? rows.read : [...rows.ids.keys()];
    feeds.rows(read.length);
    const size = wanted.length * this.vocabSize;
    const logits = this.#logits.room([read.length, wanted.length, this.vocabSize], rows.ids.length);
    const inputs = this.#stepTensors(chosen(rows, read), wanted, { rows: read, room: past[0]?.shape ?? [] });
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
        // Each where its row is, the last ones first.
        for (const [at, row] of [...read.entries()].toReversed())
          if (row !== at) logits.values.copyWithin(row * size, at * size, (at + 1) * size);
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

  /** See {@link takeOperators}; once, of a session that was opened with a `profile`. */
  takeOperators(): Promise<Operators> {
    return takeOperators(this.#session);
  }

  /** Frees everything but caches and feeds that were made here. Not during a step. */
  release(): void {
    this.#session.release();
    this.#lora.release();
    for (const owned of [this.#inputNames, this.#outputNames, this.#outputs]) owned.free();
    const buffers = [this.#ids, this.#rows, this.#ones, this.#mask, this.#positions, this.#rowPositions];
    for (const buffer of [...buffers, this.#tableRows, this.#places, this.#logits]) buffer.free();
  }

  /** Inputs before those of adapters. */
  get #fed(): number {
    return this.#step.names.length + this.#step.cache.length;
  }

  /** In the order of {@link StepInputs.names}. */
  #stepTensors(
    { ids, before, lengths }: StepRows,
    wanted: readonly number[],
    memory: Pick<PlacedRows, 'rows' | 'room'>,
  ): readonly OrtTensor[] {
    const [{ length: tokens } = { length: 0 }] = ids;
    const shape = [ids.length, tokens];
    const [first = 0] = before;
    const tensors: Readonly<Record<string, () => OrtTensor>> = {
      [inputIds]: () => this.#ids.tensorOf(ids.flat(), shape),
      [attentionMask]: () =>
        before.every((count) => count === first)
          ? this.#ones.tensor([ids.length, first + tokens])
          : this.#mask.tensor(
              before.map((count) => count + tokens),
              this.padded ? 'end' : 'begin',
            ),
      [logitsRowsInput]: () => this.#rows.tensorOf(wanted, [wanted.length]),
      [positionIds]: () =>
        ids.length === 1
          ? this.#positions.tensor(shape, first)
          : this.#rowPositions.tensorOf(
              before.flatMap((count) => Array.from({ length: tokens }, (_, at) => count + at)),
              shape,
            ),
      [tableRowsInput]: () =>
        this.#tableRows.tensorOf(
          before.flatMap((count, row) => {
            const long = this.tableOf(lengths?.[row] ?? count + tokens) === 'long';
            const from = count + (long ? (this.#tables?.offset ?? 0) : 0);
            return Array.from({ length: tokens }, (_, at) => from + at);
          }),
          shape,
        ),
      ...this.#places.tensors({ ...memory, before, tokens }),
    };
    return this.#step.names.map((name) => {
      const make = tensors[name];
      if (make === undefined) throw new AdaptletError('INTERNAL', `Nothing feeds the input ${name}`);
      return make();
    });
  }
}
