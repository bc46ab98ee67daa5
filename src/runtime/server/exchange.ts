import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Identify } from '../callers/caller.ts';
import type { GenerateEvent, TakenLogprob } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';
import type { Answered, GenerateRequest, Generation, Serving } from '../serving/serving.ts';
import type { Headers } from './context.ts';
import { Deadlines, type Timeouts } from './deadlines.ts';
import type { RequestRecord, Telemetry } from './telemetry/telemetry.ts';

/** What every protocol needs to answer a request. */
export type Parts = {
  readonly serving: Serving;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly log: Log;
  /** Who asks. */
  readonly identify: Identify;
  readonly timeouts: Timeouts;
  /** Milliseconds that a stream may wait for its reader before the generation is ended. */
  readonly slowClientMs: number;
};

export type Call = {
  readonly protocol: 'grpc' | 'http';
  readonly method: string;
  readonly headers: Headers;
  /** Milliseconds that are left, when the client gave a deadline. */
  readonly timeoutMs?: number | undefined;
};

type Done = Extract<GenerateEvent, { kind: 'done' }>;

/** Text and ids of a whole answer. */
export type Answer = {
  readonly text: string;
  readonly ids: readonly number[];
  /** One for each id; empty when they were not asked for. */
  readonly logprobs: readonly TakenLogprob[];
  readonly done: Done;
};

/**
 * One request from its arrival to its end: the signal that ends it, its telemetry and its generation.
 *
 * Guarantees: after `end` or `fail` the signal is aborted, no timer is left, the record is closed once, and the events
 * of the generation are consumed, so that what serves it is released.
 */
export class Exchange {
  readonly #parts: Parts;
  readonly #controller = new AbortController();
  readonly #record: RequestRecord;
  readonly #deadlines: Deadlines;
  readonly #method: string;
  #events: AsyncIterator<GenerateEvent> | undefined;
  #done: Done | undefined;
  #promptTokens = 0;
  /** Its credential, once it is known. */
  #caller: string | undefined;
  #verdict: AdaptletError | undefined;
  #ended = false;

  constructor(parts: Parts, call: Call) {
    this.#parts = parts;
    this.#method = call.method;
    this.#record = parts.telemetry.request(call);
    const { method, timeoutMs: clientMs } = call;
    const { clock, timeouts } = parts;
    const passed = (error: AdaptletError): void => this.abort(error);
    this.#deadlines = new Deadlines({ clock, timeouts, method, clientMs, passed });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the request: DEADLINE_EXCEEDED or REQUEST_CANCELLED, as {@link Serving} asks. The first reason stays. */
  abort(reason: AdaptletError): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
  }

  /** The caller took nothing for `slowClientMs`. Behind us that is a cancellation: no adapter is to blame. */
  tooSlow(): void {
    if (this.signal.aborted) return;
    const what = `${this.#method} waited ${this.#parts.slowClientMs} ms for its reader`;
    this.#verdict = new AdaptletError('CLIENT_TOO_SLOW', what);
    this.cancel();
  }

  /** The caller went away. */
  cancel(): void {
    this.abort(new AdaptletError('REQUEST_CANCELLED', `the caller of ${this.#method} went away`));
  }

  /** Resolves when the request is admitted, with what serves it. */
  async begin(context: RequestContext, request: GenerateRequest): Promise<Omit<Generation, 'events'>> {
    this.#routing(context);
    const { id, served, events } = await this.#parts.serving.generate(context, request, this.signal);
    this.#events = events[Symbol.asyncIterator]();
    this.#record.acquired(id, served);
    this.signal.throwIfAborted();
    return { id, served };
  }

  /** A request that is answered as a whole, with what served it. */
  async once<Result>(
    context: RequestContext,
    ask: (serving: Serving, signal: AbortSignal) => Promise<Answered<Result>>,
    promptTokensOf: (result: Result) => number,
  ): Promise<Answered<Result>> {
    this.#routing(context);
    const answered = await ask(this.#parts.serving, this.signal);
    this.#record.acquired(answered.id, answered.served);
    this.#promptTokens = promptTokensOf(answered.result);
    this.signal.throwIfAborted();
    return answered;
  }

  /** The events of the generation up to and with `done`. Throws what ended it otherwise. */
  async *events(): AsyncGenerator<GenerateEvent, void> {
    const events = this.#events;
    if (events === undefined) throw new AdaptletError('INTERNAL', `${this.#method} reads before it began`);
    while (this.#done === undefined) {
      this.signal.throwIfAborted();
      const came = this.#deadlines.awaitToken();
      const next = await events.next().finally(came);
      if (next.done === true) break;
      if (next.value.kind === 'done') this.#done = next.value;
      else this.#record.token();
      yield next.value;
    }
    if (this.#done !== undefined) return;
    this.signal.throwIfAborted();
    throw new AdaptletError('INTERNAL', `the generation of ${this.#method} ended without a last event`);
  }

  /** The whole answer. */
  async collect(): Promise<Answer> {
    let text = '';
    const ids: number[] = [];
    const logprobs: TakenLogprob[] = [];
    for await (const event of this.events()) {
      if (event.kind === 'done') return { text, ids, logprobs, done: event };
      text += event.text;
      ids.push(...event.ids);
      logprobs.push(...(event.logprobs ?? []));
    }
    throw new AdaptletError('INTERNAL', `the generation of ${this.#method} has no last event`);
  }

  /** The answer is sent. */
  end(): void {
    this.#finish('OK');
  }

  /** The request failed; the result is what to tell the caller. */
  fail(error: unknown): AdaptletError {
    // What an aborted signal does to the code in between is a consequence: the reason is what happened.
    const cause: unknown = this.#verdict ?? (this.signal.aborted ? this.signal.reason : error);
    const failure = asAdaptletError(cause, this.#method);
    this.#finish(failure.code);
    if (failure.code === 'INTERNAL')
      this.#parts.log.error({ method: this.#method, caller: this.#caller, err: failure }, 'request failed');
    else
      this.#parts.log.debug(
        { method: this.#method, caller: this.#caller, code: failure.code, reason: failure.what },
        'request refused',
      );
    return failure;
  }

  #routing(context: RequestContext): void {
    this.signal.throwIfAborted();
    this.#caller = context.caller;
    this.#record.routing(context);
  }

  #finish(code: AdaptletError['code'] | 'OK'): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deadlines.stop();
    this.#record.end({
      code,
      promptTokens: this.#done?.promptTokens ?? this.#promptTokens,
      completionTokens: this.#done?.completionTokens ?? 0,
    });
    this.cancel();
    if (this.#events !== undefined) this.#drain(this.#events);
  }

  /** A generator that was never read never runs its finally: reading it to its end releases what it holds. */
  #drain(events: AsyncIterator<GenerateEvent>): void {
    const drain = async (): Promise<void> => {
      while ((await events.next()).done !== true);
    };
    drain().catch((error: unknown) => {
      this.#parts.log.debug({ method: this.#method, err: error }, 'generation ended after its request');
    });
  }
}
