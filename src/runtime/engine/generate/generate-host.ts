import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { AdapterRows } from '../adapters/adapter-rows.ts';
import { AdapterTable } from '../adapters/adapter-table.ts';
import { Arena } from '../adapters/arena.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { EngineInfo, EngineLoad, GenerateEvent, GenerateInput, ProbeResult } from '../engine.ts';
import { culpritOf } from '../failures.ts';
import type { Ending, EngineHost } from '../host/engine-host.ts';
import type { AdapterOptions, HostOptions } from '../host/options.ts';
import { StopStrings } from '../model/stop-strings.ts';
import { Mutex } from '../mutex.ts';
import { seededRandom } from '../random.ts';
import { checkSampling, makeSampler } from '../sampling/sampling.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { compareLogits, probeLogits } from '../session/probe.ts';
import { Answer } from './answer.ts';
import type { GenerateModel } from './generate-model.ts';
import { RunningBatch } from './running-batch.ts';
import { Scheduler } from './scheduler.ts';
import { type Graph, Sequence } from './sequence.ts';

export type GenerateHostOptions = HostOptions &
  AdapterOptions & {
    /** Memory for keys and values. */
    readonly kvBudgetBytes: number;
    /** Milliseconds that a prompt may keep others from their next token. */
    readonly maxDecodeStallMs: number;
    /** Seeds of requests that bring none. */
    readonly random: () => number;
  };

/** A decoder within the engine process: base model, adapters in memory, scheduler. */
export class GenerateHost implements EngineHost {
  readonly #model: GenerateModel;
  readonly #options: GenerateHostOptions;
  readonly #steps = new Mutex();
  readonly #adapters: AdapterTable<DecoderSession>;
  readonly #batch: RunningBatch;
  readonly #scheduler: Scheduler<Sequence>;
  readonly #baseGraph: Graph;
  readonly #room: TokenRoom;
  /** Rank 0 at every site: what the probe compares with. */
  readonly #withoutAdapter: Feeds;
  #probeOfBase: Float32Array | undefined;

  constructor(model: GenerateModel, options: GenerateHostOptions) {
    const { sessions, info } = model;
    this.#model = model;
    this.#options = options;
    const baseFeeds = sessions.base.feeds(new Map());
    this.#baseGraph = { session: sessions.base, feeds: () => baseFeeds };
    this.#withoutAdapter = sessions.lora.feeds(new Map());
    this.#adapters = new AdapterTable({
      arena: new Arena(options.adapterBudgetBytes),
      graphFor: (modules) => sessions.graphs.graphFor(modules),
      expected: info,
      steps: this.#steps,
    });
    const { maxConcurrent, kvBudgetBytes, batchBudgetBytes, clock } = options;
    this.#room = tokenRoom(model, kvBudgetBytes);
    const together = sessions.rowsTogether;
    this.#batch = new RunningBatch({
      slots: maxConcurrent,
      kv: together ? sessions.base.newRows({ rows: maxConcurrent, capacity: this.#room.tokens }) : undefined,
      kvBudgetBytes,
      base: this.#baseGraph,
      mixed: together
        ? {
            session: sessions.lora,
            adapters: new AdapterRows(sessions.lora, {
              sites: sessions.lora.sites,
              rows: maxConcurrent,
              budgetBytes: batchBudgetBytes,
            }),
          }
        : undefined,
      clock,
    });
    this.#scheduler = new Scheduler({ ...options, batch: this.#batch, steps: this.#steps });
  }

  get info(): EngineInfo {
    return this.#model.info;
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
      const base = (this.#probeOfBase ??= await this.#steps.run(() =>
        probeLogits(lora, this.#withoutAdapter),
      ));
      const logits = await this.#steps.run(() => probeLogits(adapter.graph, adapter.feeds));
      return compareLogits(logits, base);
    });
  }

  generate(
    id: number,
    input: GenerateInput,
    emit: (event: GenerateEvent) => void,
    ended: (ending: Ending) => void,
  ): void {
    const adapter = input.engineName === null ? null : this.#adapters.get(input.engineName);
    const sequence = this.#sequence(id, input, adapter, emit);
    adapter?.acquire();
    try {
      this.#scheduler.submit(sequence, (ending) => {
        adapter?.release();
        ended(nameCulprit(ending, input.engineName));
      });
    } catch (error) {
      adapter?.release();
      throw error;
    }
  }

  cancel(id: number): void {
    this.#scheduler.cancel(id);
  }

  taken(id: number, events: number): void {
    this.#scheduler.taken(id, events);
  }

  readonly now = (): EngineLoad => {
    const { kvBudgetBytes } = this.#options;
    const { claimedBytes: kvUsedBytes, done } = this.#batch;
    return { ...this.#scheduler.load, ...done, kvUsedBytes, kvBudgetBytes };
  };

  /** Ends what runs after its present step and frees the base model. */
  async close(): Promise<void> {
    this.#scheduler.stop();
    await this.#steps.run(() => {
      this.#batch.release();
      this.#model.sessions.release();
    });
  }

  #sequence(
    id: number,
    input: GenerateInput,
    adapter: LoadedAdapter<DecoderSession> | null,
    emit: (event: GenerateEvent) => void,
  ): Sequence {
    const { codec, settings } = this.#model;
    const { clock, random } = this.#options;
    const { sampling, tenant = '', priority = 0 } = input;
    checkSampling(sampling);
    const promptIds = codec.encode(input.prompt);
    const maxTokens = tokensFor(input, promptIds.length, this.#room);
    return new Sequence({
      id,
      flow: { tenant, adapter: input.engineName, priority },
      scope: input.session,
      adapter,
      graph: adapter === null ? this.#baseGraph : { session: adapter.graph, feeds: () => adapter.feeds },
      promptIds,
      capacity: promptIds.length + maxTokens,
      sampler: makeSampler(sampling, seededRandom(sampling.seed ?? random() * 2 ** 32), promptIds),
      logprobs:
        input.logprobs === undefined
          ? undefined
          : { top: input.logprobs, describe: (token) => codec.describe(token) },
      answer: new Answer({
        detokenizer: codec.detokenizer(promptIds),
        stops: new StopStrings(input.stop),
        eosIds: new Set([...settings.eosIds, ...(input.stopTokenIds ?? [])]),
        maxTokens,
      }),
      clock,
      emit,
    });
  }
}

/** Tokens of prompt and answer that there is room for, where, and what makes more of it. */
type TokenRoom = { readonly tokens: number; readonly of: string; readonly more: string };

/** The context of the model, or the memory for keys and values where that is less. */
const tokenRoom = ({ settings, sessions }: GenerateModel, kvBudgetBytes: number): TokenRoom => {
  const context = { tokens: settings.contextLength, of: 'the context', more: '' };
  const memory = {
    tokens: sessions.base.tokensIn(kvBudgetBytes),
    of: 'the memory for keys and values (--kv-memory)',
    more: ' A larger --kv-memory holds more.',
  };
  return memory.tokens < context.tokens ? memory : context;
};

/**
 * Tokens that the answer may have.
 * @throws REQUEST_INVALID, PROMPT_TOO_LONG
 */
const tokensFor = (input: GenerateInput, promptTokens: number, room: TokenRoom): number => {
  const { maxTokens, fitContext = false } = input;
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new AdaptletError(
      'REQUEST_INVALID',
      `max_tokens is ${maxTokens}; it must be a whole number, 1 or more`,
    );
  }
  const left = room.tokens - promptTokens;
  if (maxTokens <= left) return maxTokens;
  if (fitContext && left > 0) return left;
  throw new AdaptletError(
    'PROMPT_TOO_LONG',
    `The prompt has ${promptTokens} tokens and up to ${maxTokens} are asked for; ${room.of} holds ${room.tokens}`,
    {
      advice: `${left > 0 ? 'Shorten the prompt or ask for fewer tokens.' : 'Shorten the prompt.'}${room.more}`,
    },
  );
};

/** An error in a step says which weights made it. */
const nameCulprit = (ending: Ending, adapter: string | null): Ending => {
  if (ending.kind !== 'failed' || !(ending.error instanceof AdaptletError)) return ending;
  const { code, what } = ending.error;
  const { weights, advice: ofWeights } = culpritOf(adapter);
  const advice = code === 'LOGITS_NOT_FINITE' ? ofWeights : ending.error.advice;
  const error = new AdaptletError(code, `${what} (${weights})`, { advice, cause: ending.error });
  return { kind: 'failed', error };
};
