import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { unlessAborted } from '../../../time/unless-aborted.ts';
import { AdapterTable } from '../adapters/adapter-table.ts';
import { Arena } from '../adapters/arena.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type {
  EngineInfo,
  EngineLoad,
  GenerateEvent,
  GenerateInput,
  KvRoom,
  MemoryLimits,
  ProbeResult,
  PromptRoom,
} from '../engine.ts';
import { culpritOf } from '../failures.ts';
import type { AtWork } from '../host/at-work.ts';
import type { Ending, EngineHost } from '../host/engine-host.ts';
import type { AdapterOptions, HostOptions } from '../host/options.ts';
import { StepClock } from '../host/step-clock.ts';
import type { PromptTokens } from '../host/texts.ts';
import { StopStrings } from '../model/stop-strings.ts';
import type { TokenText } from '../model/token-text.ts';
import { Mutex } from '../mutex.ts';
import { seededRandom } from '../random.ts';
import { Choice } from '../sampling/choice.ts';
import { checkSampling, makeSampler } from '../sampling/sampling.ts';
import { flowOf } from '../schedule/fair-queue.ts';
import { roomTokens } from '../schedule/kv-owner.ts';
import { type KvShare, KvShares } from '../schedule/kv-shares.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import type { KvRows } from '../session/kv-rows.ts';
import { compareLogits, type Probed, probe, probeLength } from '../session/probe.ts';
import { CompileThread } from '../structure/compile-thread.ts';
import { Structures, usualStructureBytes } from '../structure/structures.ts';
import type { TokenMask } from '../structure/token-mask.ts';
import { Answer } from './answer.ts';
import { endTokens, type Limits } from './end-tokens.ts';
import type { GenerateModel } from './generate-model.ts';
import { promptEcho } from './prompt-echo.ts';
import { promptRoom, tokensFor } from './prompt-room.ts';
import { RunningBatch } from './running-batch.ts';
import { Scheduler } from './scheduler.ts';
import { type Graph, Sequence } from './sequence.ts';

type Request = {
  readonly id: number;
  readonly input: GenerateInput;
  readonly adapter: LoadedAdapter<DecoderSession> | null;
  readonly emit: (event: GenerateEvent) => void;
  readonly ended: (ending: Ending) => void;
};

export type GenerateHostOptions = HostOptions &
  AdapterOptions & {
    /** Memory for keys and values. */
    readonly kvBudgetBytes: number;
    /** Memory for compiled structures. Absent: the usual. */
    readonly structureBudgetBytes?: number | undefined;
    /** Keys and values of what a prompt begins with are used for other requests of its scope. */
    readonly prefixCache: boolean;
    /** A sequence that decodes by itself may give several tokens in a step. */
    readonly speculation: boolean;
    /** Milliseconds that a prompt may keep others from their next token. */
    readonly maxDecodeStallMs: number;
    readonly atWork: AtWork;
    /** Seeds of requests that bring none. */
    readonly random: () => number;
  };

/** A decoder within the engine process: base model, adapters in memory, scheduler. */
export class GenerateHost implements EngineHost {
  readonly #model: GenerateModel;
  readonly #options: GenerateHostOptions;
  readonly steps: StepClock;
  readonly #turns = new Mutex();
  /** For what is no step of a request. */
  readonly #between: Pick<Mutex, 'run'>;
  readonly #arena: Arena;
  readonly #adapters: AdapterTable<DecoderSession>;
  readonly #rows: KvRows | undefined;
  readonly #batch: RunningBatch;
  readonly #scheduler: Scheduler<Sequence>;
  readonly #baseGraph: Graph;
  readonly #room: PromptRoom;
  readonly #choice = new Choice();
  readonly #kvShares = new KvShares();
  readonly #structures: Structures;
  /** Requests whose prompts become tokens, or whose structures are compiled. */
  readonly #leaving = new Map<number, AbortController>();
  /** No adapter on the graph that takes them: what the probe compares with. */
  readonly #withoutAdapter: Feeds;
  #probeOfBase: Probed | undefined;
  /** Bytes of keys and values that may be used now. */
  #kvLimitBytes = Number.POSITIVE_INFINITY;

  constructor(model: GenerateModel, options: GenerateHostOptions) {
    const { sessions, info } = model;
    this.#model = model;
    this.#options = options;
    this.steps = new StepClock(options.clock);
    this.#between = options.atWork.between(this.#turns);
    const baseFeeds = sessions.base.feeds(new Map());
    this.#baseGraph = { session: sessions.base, feeds: () => baseFeeds };
    this.#withoutAdapter = sessions.lora.feeds(new Map());
    this.#arena = new Arena(options.adapterBudgetBytes);
    this.#adapters = new AdapterTable({
      arena: this.#arena,
      graph: sessions.lora,
      expected: info,
      steps: this.#between,
    });
    const { maxConcurrent, kvBudgetBytes, clock, atWork } = options;
    this.#structures = new Structures({
      thread: new CompileThread({ of: model.vocabulary, clock }),
      tokenize: (text) => model.codec.encodePart(text),
      maxBytes: options.structureBudgetBytes ?? usualStructureBytes,
    });
    this.#room = promptRoom(model, kvBudgetBytes);
    const together = sessions.rowsTogether;
    const mixed = sessions.lora.mixed();
    this.#rows = together
      ? sessions.base.newRows({ rows: maxConcurrent, capacity: this.#room.tokens })
      : undefined;
    this.#batch = new RunningBatch({
      slots: maxConcurrent,
      kv: this.#rows,
      kvBudgetBytes,
      base: this.#baseGraph,
      mixed: together && mixed !== undefined ? { session: sessions.lora, feeds: mixed } : undefined,
      clock,
      times: this.steps,
      atWork,
    });
    this.#scheduler = new Scheduler({ ...options, batch: this.#batch, steps: this.#turns });
  }

  get info(): EngineInfo {
    return { ...this.#model.info, room: this.#room, kv: this.#kvRoom() };
  }

  #kvRoom(): KvRoom {
    const { sessions, kv } = this.#model;
    const { base, rowsTogether } = sessions;
    const { kvBudgetBytes: budgetBytes, maxConcurrent } = this.#options;
    const requests = rowsTogether ? maxConcurrent : 1;
    return {
      precision: base.cacheShape.element,
      bytesPerToken: base.cacheBytes(1),
      budgetBytes,
      requests,
      tokens: Math.min(this.#room.tokens, base.tokensIn(Math.floor(budgetBytes / requests))),
      because: kv.because ?? '',
    };
  }

  async load(name: string, file: string): Promise<{ readonly bytes: number; readonly ms: number }> {
    const { clock } = this.#options;
    const started = clock.monotonic();
    const { bytes } = await this.#adapters.load(name, file);
    return { bytes, ms: clock.monotonic() - started };
  }

  async unload(name: string): Promise<void> {
    await this.#adapters.unload(name);
  }

  /** @throws ADAPTER_NOT_AVAILABLE */
  async probe(name: string): Promise<ProbeResult> {
    const { lora } = this.#model.sessions;
    return await this.#adapters.use(name, async (adapter) => {
      const base = (this.#probeOfBase ??= await this.#between.run(() =>
        this.steps.time(probeLength, () => probe(lora, this.#withoutAdapter)),
      ));
      const { logits, clipped } = await this.#between.run(() =>
        this.steps.time(probeLength, () => probe(adapter.graph, adapter.feeds)),
      );
      const compared = compareLogits(logits, base.logits);
      return clipped === undefined ? compared : { ...compared, clipped };
    });
  }

  generate(
    id: number,
    input: GenerateInput,
    emit: (event: GenerateEvent) => void,
    ended: (ending: Ending) => void,
  ): void {
    const adapter = input.engineName === null ? null : this.#adapters.get(input.engineName);
    checkSampling(input.sampling);
    const request = { id, input, adapter, emit, ended };
    using _work = this.#options.atWork.begin(id);
    const tokens = this.#model.texts.now(input.prompt);
    const { structure, badWords } = input;
    if (tokens !== undefined && (structure ?? badWords) === undefined) this.#submit(request, tokens, {});
    // It reports through `ended`.
    else void this.#generateLater(request, tokens);
  }

  cancel(id: number): void {
    this.#leaving.get(id)?.abort();
    this.#scheduler.cancel(id);
  }

  taken(id: number, events: number): void {
    this.#scheduler.taken(id, events);
  }

  readonly now = (): EngineLoad => {
    const { kvBudgetBytes } = this.#options;
    const { claimedBytes: kvUsedBytes, heldBytes: kvHeldBytes, sparableBytes, done } = this.#batch;
    const { waiting, ...load } = this.#scheduler.load;
    const kv = { kvUsedBytes, kvBudgetBytes, kvHeldBytes, kvSparableBytes: sparableBytes };
    return { ...load, waiting: waiting + this.#leaving.size, ...done, ...kv };
  };

  limit({ kvBytes, givesBack }: MemoryLimits): void {
    // A budget that grows again is no sign of a shortage.
    if (givesBack && kvBytes <= this.#kvLimitBytes) this.#structures.forgetUnused();
    // For whoever comes from now on; what is there goes after the present step.
    this.#kvLimitBytes = kvBytes;
    void this.#turns.run(() => {
      this.#arena.givesBack = givesBack;
      this.#batch.limit(kvBytes);
    });
  }

  /** Ends what runs after its present step and frees the base model. */
  async close(): Promise<void> {
    this.#scheduler.stop();
    for (const leaving of this.#leaving.values()) leaving.abort();
    await this.#model.texts.close();
    await this.#structures.close();
    await this.#turns.run(() => {
      this.#batch.release();
      this.#model.sessions.release();
    });
  }

  /** Of a long prompt or with words, whose tokens are made elsewhere; or with a structure, which is compiled elsewhere. */
  async #generateLater(request: Request, known: PromptTokens | undefined): Promise<void> {
    const { id, input, adapter, ended } = request;
    const { namespace = '', tenant = '', structure, logprobs, badWords } = input;
    const leaving = new AbortController();
    const { signal } = leaving;
    using _work = this.#options.atWork.begin(id);
    let mask: TokenMask | undefined;
    this.#leaving.set(id, leaving);
    adapter?.acquire();
    try {
      const whose = { namespace, tenant };
      const tokens =
        known ?? (await this.#model.texts.later(input.prompt, this.#room.tokens - 1, { ...whose, signal }));
      const words = badWords && (await this.#model.texts.words(badWords, { ...whose, signal }));
      // Each log probability takes a step, and what comes without one could be a word that may not.
      const forces = logprobs === undefined && words === undefined;
      if (structure !== undefined) {
        const begun = this.#structures.begin(structure, whose, forces);
        // It is compiled for others of the tenant all the same.
        mask = await unlessAborted(begun, signal).catch((error: unknown) => {
          begun.then(
            (late) => late.release(),
            () => undefined,
          );
          throw error;
        });
      }
      signal.throwIfAborted();
      this.#submit(request, tokens, { mask, words });
    } catch (error) {
      mask?.release();
      ended(signal.aborted ? { kind: 'cancelled' } : { kind: 'failed', error });
    } finally {
      adapter?.release();
      this.#leaving.delete(id);
    }
  }

  /** @throws before anything was done */
  #submit(request: Request, tokens: PromptTokens, limits: Limits): void {
    const { input, adapter, ended } = request;
    const sequence = this.#sequence(request, tokens, limits);
    const { capacity } = sequence;
    const kvBytes = this.#rows?.bytesFor(capacity) ?? this.#baseGraph.session.cacheBytes(capacity);
    this.#checkMemory(sequence);
    const endShare = this.#kvShares.reserve(kvShareOf(input), kvBytes);
    adapter?.acquire();
    const over = (): void => {
      endShare();
      adapter?.release();
      limits.mask?.release();
    };
    try {
      this.#scheduler.submit(sequence, (ending) => {
        over();
        ended(nameCulprit(ending, input.engineName));
      });
    } catch (error) {
      over();
      throw error;
    }
  }

  /**
   * By itself a request has all the memory that there is for keys and values, which is more than what the node has now.
   * @throws MEMORY_PRESSURE
   */
  #checkMemory({ ids, capacity, graph }: Sequence): void {
    const limitBytes = this.#kvLimitBytes;
    if (limitBytes >= this.#options.kvBudgetBytes) return;
    const tokens = this.#rows === undefined ? capacity : Math.min(capacity, ids.length + roomTokens);
    const bytes = this.#rows?.bytesFor(tokens) ?? graph.session.cacheBytes(tokens);
    if (bytes <= limitBytes) return;
    throw new AdaptletError(
      'MEMORY_PRESSURE',
      `The request needs ${bytes} bytes of memory for keys and values to begin; memory is short, and of ${this.#options.kvBudgetBytes} bytes ${Math.floor(limitBytes)} may be used now`,
      { retryAfterMs: pressureRetryMs },
    );
  }

  /** An answer that may have any number of tokens takes what is left of the limit of its namespace, if that is a decent one. */
  #roomFor(input: GenerateInput, promptTokens: number): PromptRoom {
    const { kvLimitBytes, fitContext } = input;
    if (kvLimitBytes === undefined || fitContext !== true) return this.#room;
    const { session } = this.#baseGraph;
    const decent = Math.min(session.tokensIn(kvLimitBytes), promptTokens + roomTokens);
    const tokens = Math.max(decent, session.tokensIn(this.#kvShares.leftOf(kvShareOf(input))));
    if (tokens >= this.#room.tokens) return this.#room;
    const because = ', as the memory for keys and values that its namespace may use now holds no more';
    return { ...this.#room, tokens, because, more: '' };
  }

  #sequence(
    { id, input, adapter, emit }: Request,
    { count, ids: promptIds }: PromptTokens,
    { mask, words = [] }: Limits,
  ): Sequence {
    const { codec, settings } = this.#model;
    const { clock, random, prefixCache, speculation } = this.#options;
    const { sampling, loadedBytes = 0, marked = false } = input;
    const maxTokens = tokensFor(input, count, this.#roomFor(input, count));
    const { endIds, bans } = endTokens(input, settings.eosIds, words, codec);
    const describe = (token: number): TokenText => codec.describe(token);
    const logprobs =
      input.logprobs === undefined ? undefined : { top: input.logprobs, describe, choice: this.#choice };
    const echo = promptEcho(input, { ids: promptIds, logprobs, describe });
    return new Sequence({
      id,
      flow: flowOf(input, input.engineName),
      loadedBytes,
      // Keys and values of others come without logits.
      scope: prefixCache && echo?.isScored !== true ? input.scope : undefined,
      adapter,
      graph: adapter === null ? this.#baseGraph : { session: adapter.graph, feeds: () => adapter.feeds },
      promptIds,
      capacity: promptIds.length + maxTokens,
      sampler: makeSampler(sampling, seededRandom(sampling.seed ?? random() * 2 ** 32), {
        promptIds,
        choice: this.#choice,
        mask: mask === undefined ? undefined : () => mask.mask(),
        bans,
      }),
      mask,
      logprobs,
      echo,
      answer: new Answer({
        detokenizer: codec.detokenizer(promptIds, marked),
        stops: new StopStrings(input.stop),
        endIds,
        maxTokens,
        minTokens: input.minTokens,
        opening: marked ? codec.opened(promptIds) : '',
      }),
      speculates: speculation && input.speculate !== false,
      clock,
      emit,
    });
  }
}

const kvShareOf = ({ namespace = '', kvLimitBytes }: GenerateInput): KvShare => ({
  namespace,
  limitBytes: kvLimitBytes,
});

/** Milliseconds after which memory may have been given back. */
const pressureRetryMs = 5_000;

/** An error in a step says which weights made it. */
const nameCulprit = (ending: Ending, adapter: string | null): Ending => {
  if (ending.kind !== 'failed' || !(ending.error instanceof AdaptletError)) return ending;
  const { code, what } = ending.error;
  const { weights, advice: ofWeights } = culpritOf(adapter);
  const advice = code === 'LOGITS_NOT_FINITE' ? ofWeights : ending.error.advice;
  const error = new AdaptletError(code, `${what} (${weights})`, { advice, cause: ending.error });
  return { kind: 'failed', error };
};
