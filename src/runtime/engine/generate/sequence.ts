import type { Clock } from '../../../time/clock.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { GenerateEvent } from '../engine.ts';
import type { Feeds } from '../session/feeds.ts';
import type { GraphSession } from '../session/graph-session.ts';
import type { KvCache } from '../session/kv-cache.ts';
import type { Answer } from './answer.ts';
import { eventWindow } from './event-window.ts';
import { type LogprobParts, takenLogprob } from './logprobs.ts';
import type { Sampler } from './sampling.ts';

/** Prompt tokens per step: others get their turn, and a caller who left is noticed, at least this often. */
export const prefillChunk = 128;

/** The graph that answers, and what is fed besides the tokens. Feeds can be rebuilt between steps, so they are asked for. */
export type Graph = {
  readonly session: Pick<GraphSession, 'newCache' | 'prepare' | 'interrupt'>;
  readonly feeds: () => Feeds;
};

export type SequenceParts = {
  readonly id: number;
  readonly adapter: LoadedAdapter | null;
  readonly graph: Graph;
  readonly promptIds: readonly number[];
  /** Tokens of prompt and answer at most. */
  readonly capacity: number;
  readonly sampler: Sampler;
  /** Of each token, when the request wants them. */
  readonly logprobs: LogprobParts | undefined;
  readonly answer: Answer;
  readonly clock: Clock;
  readonly emit: (event: GenerateEvent) => void;
};

/** One request on its way from prompt to last token. */
export class Sequence {
  readonly id: number;
  readonly adapter: LoadedAdapter | null;
  readonly #parts: SequenceParts;
  readonly #admittedAt: number;
  /** Tokens that the next step takes. */
  #pending: readonly number[];
  /** From the first step on. */
  #cache: KvCache | undefined;
  #window = eventWindow;
  #cancelled = false;
  #running = false;
  #firstPickAt: number | undefined;
  #switchMs = 0;
  #prefillMs = 0;
  #decodeMs = 0;

  constructor(parts: SequenceParts) {
    this.id = parts.id;
    this.adapter = parts.adapter;
    this.#parts = parts;
    this.#admittedAt = parts.clock.monotonic();
    this.#pending = parts.promptIds;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** True unless it waits for its caller to take events. */
  get runnable(): boolean {
    return this.#window > 0;
  }

  /** A step of it that runs ends at once, by an error. */
  cancel(): void {
    this.#cancelled = true;
    if (this.#running) this.#parts.graph.session.interrupt();
  }

  /** The caller took this many events. */
  taken(events: number): void {
    this.#window += events;
  }

  /**
   * Runs one prompt chunk or one token; true when the answer is complete. `switched`: the step before was with another
   * adapter. Errors: LOGITS_NOT_FINITE, and what ONNX Runtime throws.
   */
  async step(switched: boolean): Promise<boolean> {
    const { clock, graph, promptIds, capacity } = this.#parts;
    const pickedAt = clock.monotonic();
    const ids = this.#pending.slice(0, prefillChunk);
    const cache = (this.#cache ??= graph.session.newCache(capacity));
    const isPrefill = cache.length < promptIds.length;
    const isLastChunk = ids.length === this.#pending.length;
    const run = graph.session.prepare(graph.feeds(), ids, cache, [ids.length - 1]);
    const runAt = clock.monotonic();
    if (this.#firstPickAt === undefined) {
      this.#firstPickAt = pickedAt;
      this.#switchMs = switched ? runAt - pickedAt : 0;
    }
    const logits = await this.#whileRunning(run);
    const ms = clock.monotonic() - runAt;
    if (isPrefill) this.#prefillMs += ms;
    else this.#decodeMs += ms;
    this.#pending = this.#pending.slice(ids.length);
    return isLastChunk && this.#take(logits);
  }

  async #whileRunning<T>(run: () => Promise<T>): Promise<T> {
    this.#running = true;
    try {
      return await run();
    } finally {
      this.#running = false;
    }
  }

  /** Frees its keys and values. Once it is over, between steps. */
  release(): void {
    this.#cache?.release();
    this.#cache = undefined;
  }

  #take(logits: Float32Array): boolean {
    const { sampler, answer, emit, logprobs } = this.#parts;
    const id = sampler(logits);
    const { text, finish } = answer.push(id);
    this.#window -= 1;
    emit({
      kind: 'token',
      ids: [id],
      text,
      ...(logprobs === undefined ? {} : { logprobs: [takenLogprob(logits, id, logprobs)] }),
    });
    this.#pending = [id];
    if (finish === undefined) return false;
    emit({
      kind: 'done',
      finishReason: finish,
      promptTokens: this.#parts.promptIds.length,
      completionTokens: answer.tokens,
      timing: {
        queueMs: (this.#firstPickAt ?? this.#admittedAt) - this.#admittedAt,
        prefillMs: this.#prefillMs,
        decodeMs: this.#decodeMs,
        switchMs: this.#switchMs,
      },
    });
    return true;
  }
}
