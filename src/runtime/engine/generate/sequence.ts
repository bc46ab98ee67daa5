import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { LoadedAdapter } from '../adapters/loaded-adapter.ts';
import type { GenerateEvent } from '../engine.ts';
import { eventWindow } from '../protocol.ts';
import { type LogprobParts, takenLogprob } from '../sampling/logprobs.ts';
import type { Sampler } from '../sampling/sampling.ts';
import type { Flow } from '../schedule/fair-queue.ts';
import type { KvOwner } from '../schedule/kv-owner.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import type { KvCache } from '../session/kv-cache.ts';
import type { TokenMask } from '../structure/token-mask.ts';
import type { Answer, Piece } from './answer.ts';
import type { PromptEcho } from './prompt-echo.ts';

/** The graph that answers, and what is fed besides the tokens. Feeds can be rebuilt between steps, so they are asked for. */
export type Graph = { readonly session: DecoderSession; readonly feeds: () => Feeds };

export type SequenceParts = {
  readonly id: number;
  readonly flow: Flow;
  /** See GenerateInput. */
  readonly loadedBytes: number;
  /** Within which keys and values of other requests may be used; undefined: nowhere. */
  readonly scope: string | undefined;
  readonly adapter: LoadedAdapter<DecoderSession> | null;
  /** What runs this sequence by itself. */
  readonly graph: Graph;
  readonly promptIds: readonly number[];
  /** Tokens of prompt and answer at most. */
  readonly capacity: number;
  readonly sampler: Sampler;
  /** What its tokens may be, which `sampler` keeps to; undefined: anything. */
  readonly mask: TokenMask | undefined;
  /** Of each token, when the request wants them. */
  readonly logprobs: LogprobParts | undefined;
  /** What its first token tells of the prompt; undefined: nothing. */
  readonly echo: PromptEcho | undefined;
  readonly answer: Answer;
  /** See GenerateInput. */
  readonly speculates: boolean;
  readonly clock: Clock;
  readonly emit: (event: GenerateEvent) => void;
};

/** When a step was picked and when it ran, in milliseconds, and whether the one before was with another adapter. */
export type StepTimes = {
  readonly pickedAt: number;
  readonly runAt: number;
  readonly doneAt: number;
  readonly switched: boolean;
};

/** Tokens of a prompt that take as long as a step takes by itself. */
const stepTokens = 4;

/** One request on its way from prompt to last token: its tokens, how many of them are in its cache, what it says. */
export class Sequence implements KvOwner {
  readonly id: number;
  readonly flow: Flow;
  readonly loadedBytes: number;
  readonly adapter: LoadedAdapter<DecoderSession> | null;
  readonly graph: Graph;
  readonly shares: boolean;
  readonly speculates: boolean;
  /** Tokens of prompt and answer at most. */
  readonly capacity: number;
  readonly promptTokens: number;
  readonly #parts: SequenceParts;
  readonly #admittedAt: number;
  /** Of prompt and answer. */
  readonly #ids: number[];
  #cache: KvCache | undefined;
  #window = eventWindow;
  #cancelled = false;
  #first: StepTimes | undefined;
  #reused = 0;
  /** Tokens whose keys and values there were when it lost its place. */
  #reached: number | undefined;
  #prefillMs = 0;
  #decodeMs = 0;

  constructor(parts: SequenceParts) {
    this.id = parts.id;
    this.flow = parts.flow;
    this.loadedBytes = parts.loadedBytes;
    this.adapter = parts.adapter;
    this.graph = parts.graph;
    this.shares = parts.scope !== undefined;
    this.speculates = parts.speculates;
    this.capacity = parts.capacity;
    this.promptTokens = parts.promptIds.length;
    this.#parts = parts;
    this.#admittedAt = parts.clock.monotonic();
    this.#ids = [...parts.promptIds];
  }

  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Tokens that steps have still to take: one while it decodes. */
  get pending(): number {
    return this.#ids.length - this.filled;
  }

  /** Tokens that it may give yet. */
  get left(): number {
    return this.capacity - this.#ids.length;
  }

  /** The table of positions that its keys are computed with. */
  get #table(): 'short' | 'long' {
    return this.graph.session.tableOf(this.#ids.length);
  }

  /** Who may use its keys and values: of one scope, with the same weights, positions computed alike. */
  get kvKey(): string {
    const { scope } = this.#parts;
    const whose = scope === undefined ? { id: this.id } : { scope };
    const weights = this.adapter === null ? null : [this.adapter.name, this.adapter.digest];
    return JSON.stringify([whose, weights, this.#table]);
  }

  /** Tokens whose keys and values there are. */
  get filled(): number {
    return this.#cache?.length ?? 0;
  }

  /** True once it has given a token. */
  get begun(): boolean {
    return this.#parts.answer.tokens > 0;
  }

  /** True until it had a place for the first time. */
  get isFresh(): boolean {
    return this.#reached === undefined;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** True unless it waits for its caller to take events. */
  get runnable(): boolean {
    return this.#window > 0;
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** The caller took this many events. */
  taken(events: number): void {
    this.#window += events;
  }

  /** Where its keys and values are from now on; those of its first `cache.length` tokens are there already. */
  place(cache: KvCache): void {
    this.#cache = cache;
  }

  /** The keys and values of so many tokens are there now: how many of its prompt need not be computed for that. */
  reuse(tokens: number): number {
    // What it computed itself before it made way is not of others.
    const own = Math.max(this.filled, this.#reached ?? 0);
    const more = this.begun ? 0 : Math.max(0, tokens - own);
    this.cache.advance(tokens);
    this.#reused += more;
    return more;
  }

  get cache(): KvCache {
    if (this.#cache === undefined) throw new AdaptletError('INTERNAL', 'The sequence has no place to run in');
    return this.#cache;
  }

  /** The cache is no longer its own. */
  leave(): void {
    this.#reached = Math.max(this.filled, this.#reached ?? 0);
    this.#cache = undefined;
  }

  /** Tokens of its prompt are told with their probabilities, so each step of a piece reads the logits of all that it takes. */
  get isScored(): boolean {
    return this.#parts.echo?.isScored === true;
  }

  /** Tokens that one step takes at most. */
  get maxPiece(): number {
    return this.#parts.echo?.piece(this.graph.session.vocabSize) ?? Infinity;
  }

  /** The next tokens to be run, `max` at most. */
  next(max: number): readonly number[] {
    const { length } = this.cache;
    return this.#ids.slice(length, length + max);
  }

  /**
   * A step took the next tokens of what is pending, with the logits of the last one, or of each where it {@link isScored}. True
   * when the answer is complete.
   * @throws LOGITS_NOT_FINITE, STRUCTURE_TOO_COMPLEX
   */
  steppedPiece(times: StepTimes, logits: Float32Array): boolean {
    const { vocabSize } = this.graph.session;
    this.#parts.echo?.took(this.filled - logits.length / vocabSize, logits, vocabSize);
    return this.stepped(times, this.pending === 0 ? logits.subarray(-vocabSize) : undefined);
  }

  /**
   * A step took tokens of it; with the logits of the last one where that completes what is pending. True when the answer
   * is complete.
   * @throws LOGITS_NOT_FINITE, STRUCTURE_TOO_COMPLEX
   */
  stepped(times: StepTimes, logits: Float32Array | undefined): boolean {
    this.#first ??= times;
    const ms = times.doneAt - times.runAt;
    if (this.#parts.answer.tokens === 0) this.#prefillMs += ms;
    else this.#decodeMs += ms;
    return logits !== undefined && this.#take(logits);
  }

  /**
   * How many tokens a step may take beyond the next one, up to `most`: what it gives has room in the answer, is taken by the
   * caller, and has the same table of positions.
   */
  ahead(most: number): number {
    // The time of the first token is compared: it is that of one.
    let tokens = this.begun ? Math.min(most, this.left - 1, this.#window - 1) : 0;
    const { session } = this.graph;
    while (tokens > 0 && session.tableOf(this.#ids.length + tokens) !== this.#table) tokens -= 1;
    return Math.max(0, tokens);
  }

  /**
   * A step took its next token and a draft of those after it, with the logits of all of them: takes tokens as far as they are
   * those of the draft, and the first that is not. True when the answer is complete.
   * @throws LOGITS_NOT_FINITE, STRUCTURE_TOO_COMPLEX
   */
  steppedAhead(times: StepTimes, logits: Float32Array, draft: readonly number[]): boolean {
    const size = logits.length / (draft.length + 1);
    const start = this.filled - draft.length;
    for (let at = 0; ; ) {
      this.cache.advance(start + at);
      const own = logits.subarray(at * size, (at + 1) * size);
      const complete = at === 0 ? this.stepped(times, own) : this.#take(own);
      const given = this.#ids.length - start;
      // Its keys are of no use any more, of none of its tokens.
      if (complete || this.#cancelled || this.filled === 0) return complete;
      while (at < given && this.#ids[start + at] === draft[at]) at += 1;
      if (at === given) continue;
      this.cache.advance(start + at);
      return false;
    }
  }

  /** Takes the token that the logits and its sampler say, and those that can only follow it. */
  #take(logits: Float32Array): boolean {
    const { sampler, mask, emit, logprobs, echo } = this.#parts;
    const id = sampler(logits);
    const forced = mask?.took(id) ?? [];
    for (const one of forced) sampler.came(one);
    const { ids, text, finish } = this.#answered([id, ...forced], mask?.isOver ?? false);
    const isFirst = this.#ids.length === this.promptTokens;
    this.#window -= 1;
    emit({
      kind: 'token',
      ids,
      text,
      ...(logprobs === undefined ? {} : { logprobs: [takenLogprob(logits, id, logprobs)] }),
      ...(isFirst ? { computedTokens: this.#computed } : {}),
      ...(isFirst && echo !== undefined ? { echo: echo.whole } : {}),
      ...(isFirst && echo?.isScored !== true ? { firstTokenMs: this.#firstTokenMs } : {}),
    });
    const table = this.#table;
    this.#ids.push(...ids);
    // Its keys are of no use any more: it is filled again.
    if (this.#table !== table) this.cache.advance(0);
    if (finish === undefined) return false;
    emit({
      kind: 'done',
      finishReason: finish,
      promptTokens: this.promptTokens,
      cachedTokens: this.#reused,
      completionTokens: this.#parts.answer.tokens,
      timing: this.#timing(),
    });
    return true;
  }

  /** Tokens that come together, up to the one that ends the answer. `isWhole`: nothing may come after the last of them. */
  #answered(tokens: readonly number[], isWhole: boolean): Piece & { readonly ids: readonly number[] } {
    const ids: number[] = [];
    let text = '';
    for (const [index, id] of tokens.entries()) {
      const piece = this.#parts.answer.push(id, isWhole && index === tokens.length - 1);
      ids.push(id);
      text += piece.text;
      if (piece.finish !== undefined) return { ids, text, finish: piece.finish };
    }
    return { ids, text, finish: undefined };
  }

  /** Tokens of its prompt that were not there already. */
  get #computed(): number {
    return this.promptTokens - this.#reused;
  }

  /** As if all of the prompt had been computed: what was there already says nothing about its adapter. */
  get #firstTokenMs(): number {
    return (this.#prefillMs * (this.promptTokens + stepTokens)) / (this.#computed + stepTokens);
  }

  #timing(): Extract<GenerateEvent, { kind: 'done' }>['timing'] {
    const { pickedAt, runAt, switched } = this.#first ?? {
      pickedAt: this.#admittedAt,
      runAt: 0,
      switched: false,
    };
    return {
      queueMs: pickedAt - this.#admittedAt,
      prefillMs: this.#prefillMs,
      decodeMs: this.#decodeMs,
      switchMs: switched ? runAt - pickedAt : 0,
    };
  }
}
