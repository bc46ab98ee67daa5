import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { checkMaker, type Feeds, type LoraWay, type MixedFeeds } from '../adapters/feeds.ts';
import { loraWayOf } from '../adapters/lora-way.ts';
import type { Pairs } from '../adapters/pairs.ts';
import { type Operators, takeOperators } from '../ort/profile.ts';
import type { OnnxSession } from '../ort/session.ts';
import type { OrtTensor } from '../ort/tensor.ts';
import { TensorRun } from '../ort/tensor-run.ts';
import {
  attentionMask,
  type EncoderOutputs,
  inputIds,
  readEncoderInputs,
  readEncoderOutputs,
  tokenTypeIds,
} from './encoder-graph.ts';
import { type GraphOptions, openGraph } from './open-graph.ts';
import { Int64Buffer } from './step-buffers.ts';

/** One output of a run: [texts, …] row by row, `perText` numbers each. */
export type EncoderValues = {
  readonly values: Float32Array;
  readonly shape: readonly number[];
  readonly perText: number;
};

/** A loaded encoder graph. Assumes one run at a time. */
export class EncoderSession {
  readonly sites: readonly Site[];
  readonly outputs: EncoderOutputs;
  readonly #session: OnnxSession;
  readonly #run: TensorRun;
  readonly #inputs: readonly string[];
  readonly #lora: LoraWay;
  readonly #ids = new Int64Buffer();
  readonly #mask = new Int64Buffer();
  readonly #types = new Int64Buffer();

  private constructor(session: OnnxSession, sites: readonly Site[]) {
    this.#lora = loraWayOf(sites, session.inputs);
    this.sites = sites;
    this.#session = session;
    this.#inputs = readEncoderInputs(session, this.#lora.names);
    this.outputs = readEncoderOutputs(session);
    this.#run = new TensorRun(session, [...this.#inputs, ...this.#lora.names]);
  }

  /**
   * Opens a graph; `sites` are its linears with LoRA inputs.
   * @throws MODEL_UNSUPPORTED, MODEL_INVALID
   */
  static async open(graph: Buffer, sites: readonly Site[], options: GraphOptions): Promise<EncoderSession> {
    const session = await openGraph(graph, options);
    try {
      return new EncoderSession(session, sites);
    } catch (error) {
      session.release();
      throw error;
    }
  }

  /** See DecoderSession. */
  get weights(): LoraWay['weights'] {
    return this.#lora.weights;
  }

  /**
   * See DecoderSession.
   * @throws INTERNAL when a pair fits no linear
   */
  feeds(pairs: Pairs): Feeds {
    return this.#lora.feeds(this, this.#inputs.length, pairs);
  }

  /** See DecoderSession. */
  mixed(): MixedFeeds | undefined {
    return this.#lora.mixed?.(this, this.#inputs.length);
  }

  /** Outputs, by name, of texts that are padded to the longest; padding is not attended to. */
  async encode(
    feeds: Feeds,
    texts: readonly (readonly number[])[],
    outputs: readonly string[],
  ): Promise<readonly EncoderValues[]> {
    checkMaker(feeds, this);
    feeds.rows(texts.length);
    const inputs = this.#tensors(texts);
    for (const [place, tensor] of inputs.entries()) feeds.values.set(place, tensor.value);
    try {
      const results = await this.#run.run(feeds.values, outputs);
      return results.map(({ data, shape }) => {
        const values = new Float32Array(data.buffer);
        return { values, shape, perText: values.length / texts.length };
      });
    } finally {
      for (const tensor of inputs) tensor.release();
    }
  }

  /** Everything that the graph gives for one text, one output after the other. */
  async logitsOf(feeds: Feeds, ids: readonly number[]): Promise<Float32Array> {
    const names = Object.values(this.outputs).filter((name) => name !== undefined);
    const results = await this.encode(feeds, [ids], names);
    return Float32Array.from(results.flatMap(({ values }) => [...values]));
  }

  /** See {@link takeOperators}; once, of a session that was opened with a `profile`. */
  takeOperators(): Promise<Operators> {
    return takeOperators(this.#session);
  }

  /** Frees everything but feeds that were made here. Not during a run. */
  release(): void {
    this.#session.release();
    this.#run.free();
    this.#lora.release();
    for (const buffer of [this.#ids, this.#mask, this.#types]) buffer.free();
  }

  #tensors(texts: readonly (readonly number[])[]): readonly OrtTensor[] {
    const maxTokens = Math.max(...texts.map((ids) => ids.length));
    const shape = [texts.length, maxTokens];
    const padded = (value: (id: number) => number): readonly number[] =>
      texts.flatMap((ids) =>
        Array.from({ length: maxTokens }, (_, at) => {
          const id = ids[at];
          return id === undefined ? 0 : value(id);
        }),
      );
    const tensors: Readonly<Record<string, () => OrtTensor>> = {
      [inputIds]: () =>
        this.#ids.tensorOf(
          padded((id) => id),
          shape,
        ),
      [attentionMask]: () =>
        this.#mask.tensorOf(
          padded(() => 1),
          shape,
        ),
      [tokenTypeIds]: () => this.#types.tensor(shape),
    };
    return this.#inputs.map((name) => {
      const make = tensors[name];
      if (make === undefined) throw new AdaptletError('INTERNAL', `Nothing feeds the input ${name}`);
      return make();
    });
  }
}
