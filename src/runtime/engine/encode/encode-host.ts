import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { AdapterTable } from '../adapters/adapter-table.ts';
import { Arena } from '../adapters/arena.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import { Batcher } from '../batch/batcher.ts';
import { RequestRoom } from '../batch/request-room.ts';
import type { EngineInfo, MemoryLimits, ProbeResult } from '../engine.ts';
import { closing, culpritOf } from '../failures.ts';
import type { EngineHost } from '../host/engine-host.ts';
import type { AdapterOptions, BatchOptions, HostOptions } from '../host/options.ts';
import { StepClock } from '../host/step-clock.ts';
import { Mutex } from '../mutex.ts';
import { flowOf, loadCost } from '../schedule/fair-queue.ts';
import { compareLogits, probeIds } from '../session/probe.ts';
import type { EncodeInput, EncodeResult } from '../tasks.ts';
import type { EncodeModel } from './encode-model.ts';
import { classify, type Head, headBytes, readHead } from './head.ts';
import { MixedTexts, type Text } from './mixed-texts.ts';
import { adapterPaths, basePaths, type PoolingPath, type PoolingPaths, unitVector } from './pooling-path.ts';
import { tokensOf } from './text-tokens.ts';

export type EncodeHostOptions = HostOptions & AdapterOptions & BatchOptions;

/** Tokens of one run, padding included. */
const maxBatchTokens = 4096;

/** An encoder within the engine process: base model, adapters and heads in memory, batches. */
export class EncodeHost implements EngineHost {
  readonly #model: EncodeModel;
  readonly #options: EncodeHostOptions;
  readonly steps: StepClock;
  readonly #turns = new Mutex();
  readonly #arena: Arena;
  readonly #adapters: AdapterTable;
  readonly #heads = new WeakMap<LoadedAdapter, Head>();
  readonly #paths = new WeakMap<LoadedAdapter, PoolingPaths>();
  readonly #base: PoolingPaths;
  readonly #batcher: Batcher<Text, Float32Array>;
  readonly #mixed: MixedTexts;
  readonly #room: RequestRoom;
  readonly #leaving = new Map<number, AbortController>();
  /** No adapter on the graph that takes them: what the probe compares with. */
  readonly #withoutAdapter: Feeds;

  constructor(model: EncodeModel, options: EncodeHostOptions) {
    const { sessions, info } = model;
    this.#model = model;
    this.#options = options;
    this.steps = new StepClock(options.clock);
    this.#room = new RequestRoom(options);
    this.#base = basePaths(model, sessions.base.feeds(new Map()));
    this.#withoutAdapter = sessions.lora.feeds(new Map());
    this.#arena = new Arena(options.adapterBudgetBytes);
    this.#adapters = new AdapterTable({
      arena: this.#arena,
      graph: sessions.lora,
      expected: info,
      steps: this.#turns,
    });
    const { maxBatch, maxBatchDelayMs, clock } = options;
    this.#mixed = new MixedTexts(sessions.lora, sessions.mixes ? sessions.lora.mixed() : undefined);
    this.#batcher = new Batcher({
      limits: { maxRows: maxBatch, maxTokens: maxBatchTokens },
      maxDelayMs: maxBatchDelayMs,
      clock,
      run: (batch) => {
        const tokens = batch.reduce((sum, { length }) => sum + length, 0);
        const texts = batch.map(({ work }) => work);
        return this.#turns.run(() => this.steps.time(tokens, () => this.#mixed.run(texts)));
      },
    });
  }

  limit({ givesBack }: MemoryLimits): void {
    void this.#turns.run(() => {
      this.#arena.givesBack = givesBack;
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

  /**
   * Compares everything that the graph gives for the fixed input.
   * @throws ADAPTER_NOT_AVAILABLE
   */
  async probe(name: string): Promise<ProbeResult> {
    const { lora } = this.#model.sessions;
    const ids = probeIds(this.info.vocabSize).slice(0, this.#model.info.encoder.maxTokens);
    return await this.#adapters.use(name, async (adapter) => {
      const logits = (feeds: Feeds) =>
        this.#turns.run(() => this.steps.time(ids.length, () => lora.logitsOf(feeds, ids)));
      const base = await logits(this.#withoutAdapter);
      return compareLogits(await logits(adapter.feeds), base);
    });
  }

  /**
   * Embeds or classifies texts, together with others that wait.
   * @throws REQUEST_INVALID, PROMPT_TOO_LONG, CLASSIFIER_MISSING, ADAPTER_NOT_AVAILABLE, QUEUE_FULL,
   * LOGITS_NOT_FINITE, REQUEST_CANCELLED
   */
  async encode(id: number, input: EncodeInput): Promise<EncodeResult> {
    const flow = flowOf(input, input.engineName);
    using _place = this.#room.enter(id, flow, (error) => this.#drop(id, error));
    const adapter = input.engineName === null ? undefined : this.#adapters.get(input.engineName);
    const head = this.#headFor(input, adapter);
    const path: PoolingPath = this.#pathsOf(adapter)[head === undefined ? 'embedding' : 'pooler'];
    const { encoder } = this.#model.info;
    const { namespace = '', tenant } = flow;
    adapter?.acquire();
    const leaving = new AbortController();
    this.#leaving.set(id, leaving);
    try {
      const { codec, texts } = this.#model;
      const { ids, promptTokens, truncated } = await tokensOf(
        input.texts,
        {
          encode: (given) => codec.encode(given),
          input: (text, limit) => texts.input(text, limit, { namespace, tenant, signal: leaving.signal }),
        },
        Math.min(encoder.maxTokens, input.maxTokens ?? encoder.maxTokens),
      );
      leaving.signal.throwIfAborted();
      const pieces = ids.map((tokens) => ({
        // Texts of one output run together, whatever their adapters.
        key: path.output,
        rows: 1,
        length: tokens.length,
        cost: tokens.length,
        work: { path, adapter: adapter ?? null, ids: tokens },
      }));
      const rows = await this.#batcher.add({ request: id, flow, cost: loadCost(input.loadedBytes) }, pieces);
      checkFinite(rows, input.engineName);
      const counted = { promptTokens, truncated };
      if (head !== undefined) {
        const classified = rows.map((row) => classify(head, row));
        return { kind: 'classification', labels: head.labels, rows: classified, ...counted };
      }
      return { kind: 'embedding', rows: encoder.normalize ? rows.map(unitVector) : rows, ...counted };
    } finally {
      this.#leaving.delete(id);
      adapter?.release();
    }
  }

  cancel(id: number): void {
    this.#drop(id, new AdaptletError('REQUEST_CANCELLED', `Request ${id} was given up`));
    this.#room.leave(id);
  }

  /** Ends after the present run and frees the base model. */
  async close(): Promise<void> {
    this.#batcher.stop();
    for (const leaving of this.#leaving.values()) leaving.abort(closing('The engine is closing'));
    await this.#model.texts.close();
    await this.#turns.run(() => {
      this.#mixed.release();
      this.#model.sessions.release();
    });
  }

  /** What does not run yet of a request is not run. */
  #drop(id: number, error: AdaptletError): void {
    this.#leaving.get(id)?.abort(error);
    this.#batcher.cancel(id, error);
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
  #headFor({ output, engineName: name }: EncodeInput, adapter: LoadedAdapter | undefined): Head | undefined {
    if (output === 'embedding') return undefined;
    const head = adapter === undefined ? undefined : this.#heads.get(adapter);
    if (head !== undefined || output === 'any') return head;
    const what = name === null ? 'The base model' : `Adapter ${name}`;
    throw new AdaptletError('CLASSIFIER_MISSING', `${what} has no classification head`);
  }

  #pathsOf(adapter: LoadedAdapter | undefined): PoolingPaths {
    if (adapter === undefined) return this.#base;
    const known = this.#paths.get(adapter);
    if (known !== undefined) return known;
    const paths = adapterPaths(this.#model, adapter);
    this.#paths.set(adapter, paths);
    return paths;
  }
}

const checkFinite = (rows: readonly Float32Array[], adapter: string | null): void => {
  if (rows.every((row) => row.every(Number.isFinite))) return;
  const { weights, advice } = culpritOf(adapter);
  const what = `The model computed values that are not finite (${weights})`;
  throw new AdaptletError('LOGITS_NOT_FINITE', what, { advice });
};
