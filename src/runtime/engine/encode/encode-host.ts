import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import { AdapterRows } from '../adapters/adapter-rows.ts';
import { AdapterTable } from '../adapters/adapter-table.ts';
import { Arena } from '../adapters/arena.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import { Batcher } from '../batch/batcher.ts';
import type { EngineInfo, ProbeResult } from '../engine.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { RequestRoom } from '../host/request-room.ts';
import { Exclusive } from '../mutex.ts';
import { compareLogits, probeIds } from '../session/probe.ts';
import type { EncodeInput, EncodeResult } from '../tasks.ts';
import type { EncoderModel } from './encode-model.ts';
import { classify, type Head } from './head.ts';
import { headBytes, readHead } from './loaded-heads.ts';
import { MixedTexts, type Text } from './mixed-texts.ts';
import { unitVector } from './pooling.ts';
import { adapterLanes, baseLanes, type Lane, type Lanes } from './pooling-path.ts';
import { tokensOf } from './text-tokens.ts';

export type EncoderHostOptions = {
  readonly adapterBudgetBytes: number;
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  /** Texts of one run. */
  readonly maxBatch: number;
  /** Milliseconds that a text may wait for others. */
  readonly maxBatchDelayMs: number;
  /** Memory for copies of adapters whose texts run together. */
  readonly batchBudgetBytes: number;
  readonly clock: Clock;
};

/** Tokens of one run, padding included. */
const maxBatchTokens = 4096;

/** An encoder within the engine process: base model, adapters and heads in memory, batches. */
export class EncoderHost implements EngineHost {
  readonly #model: EncoderModel;
  readonly #options: EncoderHostOptions;
  readonly #steps = new Exclusive();
  readonly #adapters: AdapterTable;
  readonly #heads = new WeakMap<LoadedAdapter, Head>();
  readonly #lanes = new WeakMap<LoadedAdapter, Lanes>();
  readonly #base: Lanes;
  readonly #batcher: Batcher<Text, Float32Array>;
  readonly #mixed: MixedTexts;
  readonly #room: RequestRoom;
  /** Rank 0 at every site: what the probe compares with. */
  readonly #withoutAdapter: Feeds;

  constructor(model: EncoderModel, options: EncoderHostOptions) {
    const { sessions, info } = model;
    this.#model = model;
    this.#options = options;
    this.#room = new RequestRoom(options);
    this.#base = baseLanes(model, sessions.base.feeds(new Map()));
    this.#withoutAdapter = sessions.lora.feeds(new Map());
    this.#adapters = new AdapterTable({
      arena: new Arena(options.adapterBudgetBytes),
      graphFor: () => Promise.resolve(sessions.lora),
      expected: info,
      steps: this.#steps,
    });
    const { maxBatch, maxBatchDelayMs, batchBudgetBytes, clock } = options;
    const { lora, mixedSites: sites } = sessions;
    const copies = { sites, rows: maxBatch, budgetBytes: batchBudgetBytes };
    this.#mixed = new MixedTexts(
      lora,
      sites.length > 0 ? new AdapterRows(lora, copies) : undefined,
      maxBatch,
    );
    this.#batcher = new Batcher({
      limits: { maxRows: maxBatch, maxTokens: maxBatchTokens },
      maxDelayMs: maxBatchDelayMs,
      clock,
      run: (batch) => this.#steps.run(() => this.#mixed.run(batch.map(({ work }) => work))),
    });
  }

  get info(): EngineInfo {
    return this.#model.info;
  }

  async load(name: string, file: string): Promise<{ readonly bytes: number; readonly ms: number }> {
    const { clock } = this.#options;
    const started = clock.monotonic();
    const adapter = await this.#adapters.load(name, file);
    const head = this.#heads.get(adapter) ?? (await this.#readHead(name, file));
    if (head !== undefined) this.#heads.set(adapter, head);
    const bytes = adapter.bytes + (head === undefined ? 0 : headBytes(head));
    return { bytes, ms: clock.monotonic() - started };
  }

  async unload(name: string): Promise<void> {
    await this.#adapters.unload(name);
  }

  /** Compares everything that the graph gives for the fixed input. Errors: ADAPTER_NOT_AVAILABLE. */
  async probe(name: string): Promise<ProbeResult> {
    const { lora } = this.#model.sessions;
    const ids = probeIds(this.info.vocabSize).slice(0, this.#model.info.encoder.maxTokens);
    const adapter = this.#adapters.get(name);
    adapter.acquire();
    try {
      const base = await this.#steps.run(() => lora.logitsOf(this.#withoutAdapter, ids));
      return compareLogits(await this.#steps.run(() => lora.logitsOf(adapter.feeds, ids)), base);
    } finally {
      adapter.release();
    }
  }

  /**
   * Embeds or classifies texts, together with others that wait. Errors: REQUEST_INVALID, PROMPT_TOO_LONG,
   * CLASSIFIER_MISSING, ADAPTER_NOT_AVAILABLE, QUEUE_FULL, LOGITS_NOT_FINITE, REQUEST_CANCELLED.
   */
  async encode(id: number, input: EncodeInput): Promise<EncodeResult> {
    using _place = this.#room.enter(id);
    const adapter = input.adapter === null ? undefined : this.#adapters.get(input.adapter);
    const head = this.#headFor(input, adapter);
    const lane: Lane = this.#lanesOf(adapter)[head === undefined ? 'embedding' : 'pooler'];
    const { encoder } = this.#model.info;
    const { ids, promptTokens, truncated } = tokensOf(input.texts, this.#model.codec, encoder.maxTokens);
    adapter?.acquire();
    try {
      const pieces = ids.map((tokens) => ({
        request: id,
        // Texts of one output run together, whatever their adapters.
        key: lane.output,
        rows: 1,
        length: tokens.length,
        work: { lane, adapter: adapter ?? null, ids: tokens },
      }));
      const rows = await this.#batcher.add(pieces);
      checkFinite(rows, input.adapter);
      const counted = { promptTokens, truncated };
      if (head !== undefined) {
        const classified = rows.map((row) => classify(head, row));
        return { kind: 'classification', labels: head.labels, rows: classified, ...counted };
      }
      return { kind: 'embedding', rows: encoder.normalize ? rows.map(unitVector) : rows, ...counted };
    } finally {
      adapter?.release();
    }
  }

  cancel(id: number): void {
    this.#batcher.cancel(id);
    this.#room.leave(id);
  }

  /** Ends after the present run and frees the base model. */
  async close(): Promise<void> {
    this.#batcher.stop();
    await this.#steps.run(() => {
      this.#mixed.release();
      this.#model.sessions.release();
    });
  }

  async #readHead(name: string, file: string): Promise<Head | undefined> {
    try {
      return await readHead(file, this.#model.info.encoder);
    } catch (error) {
      await this.#adapters.unload(name);
      throw error;
    }
  }

  /** The head that answers; undefined where embeddings are asked for. */
  #headFor({ output, adapter: name }: EncodeInput, adapter: LoadedAdapter | undefined): Head | undefined {
    if (output === 'embedding') return undefined;
    const head = adapter === undefined ? undefined : this.#heads.get(adapter);
    if (head !== undefined || output === 'any') return head;
    const what = name === null ? 'The base model' : `Adapter ${name}`;
    throw new AdaptletError('CLASSIFIER_MISSING', `${what} has no classification head`);
  }

  #lanesOf(adapter: LoadedAdapter | undefined): Lanes {
    if (adapter === undefined) return this.#base;
    const known = this.#lanes.get(adapter);
    if (known !== undefined) return known;
    const lanes = adapterLanes(this.#model, adapter);
    this.#lanes.set(adapter, lanes);
    return lanes;
  }
}

const checkFinite = (rows: readonly Float32Array[], adapter: string | null): void => {
  if (rows.every((row) => row.every(Number.isFinite))) return;
  const weights = adapter === null ? 'the base model' : `adapter ${adapter}`;
  throw new AdaptletError('LOGITS_NOT_FINITE', `The model computed values that are not finite (${weights})`);
};
