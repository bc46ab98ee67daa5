import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Identify } from '../callers/caller.ts';
import type { Echo, TakenLogprob } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';
import { answersTo } from '../serving/choices.ts';
import type { Answered, GenerateRequest, Generation, GenerationEvent, Serving } from '../serving/serving.ts';
import type { Stage, Stages } from '../serving/stages.ts';
import type { Headers } from './context.ts';
import { Deadlines, type Timeouts } from './deadlines.ts';
import type { ConnectionLimits } from './limits.ts';
import type { RequestRecord, Telemetry } from './telemetry/telemetry.ts';
import { callersIdOf, wire } from './wire.ts';

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
  readonly limits: ConnectionLimits;
};

export type Call = {
  readonly protocol: 'grpc' | 'http';
  readonly method: string;
  readonly headers: Headers;
  /** Milliseconds that are left, when the client gave a deadline. */
  readonly timeoutMs?: number | undefined;
};

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** Text and ids of a whole answer. */
export type Answer = {
  readonly text: string;
  readonly ids: readonly number[];
  /** One for each id; empty when they were not asked for. */
  readonly logprobs: readonly TakenLogprob[];
  /** The prompt, where it was asked for. */
  readonly echo: Echo | undefined;
  readonly done: Done;
};

/** An answer of which not all events came yet. */
class AnswerParts {
  #text = '';
  readonly #ids: number[] = [];
  readonly #logprobs: TakenLogprob[] = [];
  #echo: Echo | undefined;
  #done: Done | undefined;

  add(event: GenerationEvent): void {
    if (event.kind === 'done') {
      this.#done = event;
      return;
    }
    this.#text += event.text;
    this.#ids.push(...event.ids);
    this.#logprobs.push(...(event.logprobs ?? []));
    this.#echo ??= event.echo;
  }

  /** Undefined until it is whole. */
  get answer(): Answer | undefined {
    if (this.#done === undefined) return undefined;
    return {
      text: this.#text,
      ids: this.#ids,
      logprobs: this.#logprobs,
      echo: this.#echo,
      done: this.#done,
    };
  }
}

/** Tokens of a request: each prompt counts once, however many answers to it there are. */
export type TokenCounts = Pick<Done, 'promptTokens' | 'cachedTokens' | 'completionTokens'>;

const sum = (numbers: readonly number[]): number => numbers.reduce((whole, one) => whole + one, 0);

/** Why the signal fires behind an answer. One for all: an error for each request is a trace of the stack for each. */
const over = new AdaptletError('REQUEST_CANCELLED', 'the request is over');

/**
 * One request from its arrival to its end: the signal that ends it, its telemetry and its generation.
 *
 * Guarantees: after `end` or `fail` the signal is aborted, no timer is left, the record is closed once, and the events
 * of the generation are consumed, so that what serves it is released.
 */
export class Exchange {
  readonly headers: Headers;
  readonly #parts: Parts;
  readonly #controller = new AbortController();
  readonly #record: RequestRecord;
  readonly #deadlines: Deadlines;
  readonly #method: string;
  #events: AsyncIterator<GenerationEvent> | undefined;
  #answers = 1;
  /** Answers to each prompt. */
  #choices = 1;
  /** Last events of the answers that are complete. */
  readonly #ends: Done[] = [];
  /** That of the first answer, whose tokens the request waited for. */
  #firstEnd: Done | undefined;
  /** Of a request that is answered as a whole. */
  #promptTokens = 0;
  /** Its credential, once it is known. */
  #caller: string | undefined;
  readonly #callersId: string | undefined;
  /** Of the answer, once it begins. */
  #id: string | undefined;
  #verdict: AdaptletError | undefined;
  #ended = false;

  constructor(parts: Parts, call: Call) {
    this.#parts = parts;
    this.#method = call.method;
    this.headers = call.headers;
    this.#callersId = callersIdOf(call.headers.get(wire.callersId));
    this.#record = parts.telemetry.request(call);
    const { method, timeoutMs: clientMs } = call;
    const { clock, timeouts } = parts;
    const passed = (error: AdaptletError): void => this.abort(error);
    this.#deadlines = new Deadlines({ clock, timeouts, method, clientMs, passed });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What its caller can find it by: the id that it gave, else that of the answer, once it begins. */
  get callersId(): string | undefined {
    return this.#callersId ?? this.#id;
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
    this.#answers = answersTo(request);
    this.#choices = request.choices ?? 1;
    const stages = (stage: Stage): void => this.#record.stage(stage);
    const { serving } = this.#parts;
    const { id, served, events } = await serving.generate(context, request, this.signal, stages);
    this.#events = events[Symbol.asyncIterator]();
    this.#id = id;
    this.#record.acquired(id, served);
    this.signal.throwIfAborted();
    return { id, served };
  }

  /** A request that is answered as a whole, with what served it. */
  async once<Result>(
    context: RequestContext,
    ask: (serving: Serving, signal: AbortSignal, stages: Stages) => Promise<Answered<Result>>,
    promptTokensOf: (result: Result) => number,
  ): Promise<Answered<Result>> {
    this.#routing(context);
    const answered = await ask(this.#parts.serving, this.signal, (stage) => this.#record.stage(stage));
    this.#id = answered.id;
    this.#record.acquired(answered.id, answered.served);
    this.#promptTokens = promptTokensOf(answered.result);
    this.signal.throwIfAborted();
    return answered;
  }

  /** Of the answers that are complete. */
  get counts(): TokenCounts {
    const promptOf = ({ choice = 0 }: Done): number => Math.floor(choice / this.#choices);
    const prompts = [...Map.groupBy(this.#ends, promptOf).values()];
    return {
      promptTokens: sum(prompts.map(([end]) => end?.promptTokens ?? 0)),
      // What other answers to it found there is the prompt of the first one.
      cachedTokens: sum(prompts.map((ends) => Math.min(...ends.map(({ cachedTokens = 0 }) => cachedTokens)))),
      completionTokens: sum(this.#ends.map(({ completionTokens }) => completionTokens)),
    };
  }

  /** The events of the generation up to and with the `done` of each answer. Throws what ended it otherwise. */
  async *events(): AsyncGenerator<GenerationEvent, void> {
    const events = this.#events;
    if (events === undefined) throw new AdaptletError('INTERNAL', `${this.#method} reads before it began`);
    while (this.#ends.length < this.#answers) {
      this.signal.throwIfAborted();
      const came = this.#deadlines.awaitToken();
      const next = await events.next().finally(came);
      if (next.done === true) break;
      if (next.value.kind === 'done') this.#completed(next.value);
      else this.#record.token();
      yield next.value;
    }
    if (this.#ends.length === this.#answers) return;
    this.signal.throwIfAborted();
    throw new AdaptletError('INTERNAL', `the generation of ${this.#method} ended without a last event`);
  }

  #completed(end: Done): void {
    this.#ends.push(end);
    if ((end.choice ?? 0) === 0) this.#firstEnd = end;
  }

  /** The whole answer, of a request for one. */
  async collect(): Promise<Answer> {
    const [answer] = await this.collectAll();
    return answer ?? this.#lacksEnd();
  }

  /** All answers, whole, in their order. */
  async collectAll(): Promise<readonly Answer[]> {
    const parts = Array.from({ length: this.#answers }, () => new AnswerParts());
    for await (const event of this.events()) parts[event.choice ?? 0]?.add(event);
    return parts.map((one) => one.answer ?? this.#lacksEnd());
  }

  #lacksEnd(): never {
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
    const keys = this.#keys();
    if (failure.code === 'INTERNAL') this.#parts.log.error({ ...keys, err: failure }, 'request failed');
    else this.#parts.log.debug({ ...keys, code: failure.code, reason: failure.what }, 'request refused');
    return failure;
  }

  /** What every line about the request has: the trace as well, so that both are found by each other. */
  #keys(): object {
    const id = this.#id === undefined ? {} : { id: this.#id };
    const given = this.#callersId === undefined ? {} : { callersId: this.#callersId };
    return { method: this.#method, caller: this.#caller, ...id, ...given, ...this.#record.ids };
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
    const generated = this.#firstEnd;
    const { promptTokens, completionTokens } = this.counts;
    this.#record.end({
      code,
      promptTokens: promptTokens + this.#promptTokens,
      completionTokens,
      ...(generated === undefined
        ? {}
        : { generated: { ...generated, finishReasons: this.#ends.map(({ finishReason }) => finishReason) } }),
    });
    if (code === 'OK') this.#parts.log.debug(this.#keys(), 'request answered');
    this.abort(over);
    if (this.#events !== undefined) this.#drain(this.#events);
  }

  /** A generator that was never read never runs its finally: reading it to its end releases what it holds. */
  #drain(events: AsyncIterator<GenerationEvent>): void {
    const drain = async (): Promise<void> => {
      while ((await events.next()).done !== true);
    };
    drain().catch((error: unknown) => {
      this.#parts.log.debug({ ...this.#keys(), err: error }, 'generation ended after its request');
    });
  }
}
