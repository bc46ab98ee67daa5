import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';
import type { EngineInfo, EngineLoad, GenerateInput, Limit, MemoryLimits, WorkAtEnd } from '../engine.ts';
import {
  type Answers,
  type FromEngine,
  fromWire,
  libraryVariable,
  type StartOptions,
  type StepAge,
  type ToEngine,
} from '../protocol.ts';
import type { EncodeInput, InferInput } from '../tasks.ts';
import { EventStream } from './event-stream.ts';
import { stepLimitMs } from './hung-step.ts';
import { Opening, type OpeningTimes } from './opening.ts';
import { Watchdog } from './watchdog.ts';

const program = fileURLToPath(new URL('../process/main.ts', import.meta.url));
/** ONNX Runtime would report sessions, and an identity of the device that it keeps on disk, to its maker. */
const noTelemetry = { ORT_DISABLE_TELEMETRY: '1' };
/** What has to be in the environment before the library is loaded. */
const libraryOf = ({ onnxRuntimeLibrary }: StartOptions): Readonly<Record<string, string>> =>
  onnxRuntimeLibrary === undefined ? {} : { [libraryVariable]: onnxRuntimeLibrary };
/**
 * Milliseconds for which an engine process may be silent until its model is open, and that each part of opening it may take, which
 * on a slow machine can be minutes: as the first step of a model, which reads all of it.
 */
const startLimitMs = ({ stallTimeoutMs, leastStartMs = 600_000 }: EngineLifeOptions): number =>
  Math.max(leastStartMs, 20 * stallTimeoutMs);
/** How long a close waits for the present step. The process has nothing to lose: this is for a quiet log. */
const closeLimitMs = 3_000;

export type EngineLifeOptions = {
  readonly start: StartOptions;
  readonly clock: Clock;
  readonly logger: Log;
  /** Milliseconds of silence, with calls under way, after which the process is killed. */
  readonly stallTimeoutMs: number;
  /** Milliseconds that each part of opening the base model has at least, whatever the stall timeout; default ten minutes. */
  readonly leastStartMs?: number;
  /** What it does now to open the base model. */
  readonly onDoing: (what: string) => void;
  readonly onReady: (info: EngineInfo, opening: OpeningTimes) => void;
  /** The process is gone; comes before its calls are rejected. */
  readonly onEnd: (failure: AdaptletError, work: WorkAtEnd) => void;
};

type Call = {
  /** Its caller left. It is there until the process is done with it, as that may work on it. */
  hasLeft?: true;
} & (
  | {
      readonly kind: 'answer';
      readonly resolve: (value: Answers[keyof Answers]) => void;
      readonly reject: (error: Error) => void;
      /** Absent where it is no request: a load, a probe. */
      readonly input?: EncodeInput | InferInput;
    }
  | {
      readonly kind: 'stream';
      readonly stream: EventStream;
      readonly input: GenerateInput;
      /** That came. */
      events: number;
    }
);

type Question = Extract<ToEngine, { kind: keyof Answers }>;

/** One engine process from its start to its end, and the calls that it was given. */
export class EngineLife {
  readonly #options: EngineLifeOptions;
  readonly #child: ChildProcess;
  readonly #watchdog: Watchdog;
  readonly #opening: Opening;
  readonly #calls = new Map<number, Call>();
  readonly #exited = Promise.withResolvers<void>();
  #nextCall = 1;
  #streams = 0;
  #ready = false;
  #ended = false;
  #killedFor = '';
  #load: EngineLoad | undefined;
  /** Calls that the process works on, as it said last; undefined where it does not say it. */
  #works: readonly number[] | undefined;
  readonly #told = new Set<Limit['flag']>();
  #failure: AdaptletError | undefined;

  constructor(options: EngineLifeOptions) {
    this.#options = options;
    // Only the IPC channel and the two pipes: the sockets of this process are closed on exec.
    this.#child = fork(program, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // As bin/adaptlet starts this process.
      execArgv: ['--v8-pool-size=0'],
      env: { ...process.env, ...noTelemetry, ...libraryOf(options.start) },
    });
    this.#watchdog = new Watchdog({
      clock: options.clock,
      limitMs: () => this.#silenceLimit(),
      onStall: (silentMs) => {
        options.logger.error(
          { pid: this.pid, silentMs },
          'the engine process gives no sign of life and is killed',
        );
        this.#killFor(`gave no sign of life for ${Math.round(silentMs)} ms`);
      },
    });
    this.#opening = new Opening({
      ...options,
      limitMs: startLimitMs(options),
      onStuck: (what) => this.#stuckIn(what),
    });
    this.#listen();
    this.#send({ kind: 'start', options: options.start });
  }

  get pid(): number | undefined {
    return this.#ended ? undefined : this.#child.pid;
  }

  /** What it did a moment ago; undefined before it did anything. */
  get load(): EngineLoad | undefined {
    return this.#ended ? undefined : this.#load;
  }

  /** Requests under way, those that wait in the process included. */
  get streams(): number {
    return this.#streams;
  }

  ask<K extends keyof Answers>(
    question: DistributiveOmit<Question, 'call'> & { kind: K },
  ): Promise<Answers[K]> {
    const { promise, resolve, reject } = Promise.withResolvers<Answers[keyof Answers]>();
    const call = this.#open({ kind: 'answer', resolve, reject });
    this.#send({ ...question, call });
    // The process answers each question in its own form.
    return promise as Promise<Answers[K]>;
  }

  /**
   * A request that is answered as a whole. It counts like one of `generate`; when the signal is aborted the process is
   * told.
   * @throws REQUEST_CANCELLED
   */
  async request<K extends 'encode' | 'infer'>(
    question: DistributiveOmit<Question, 'call'> & { kind: K },
    signal: AbortSignal,
  ): Promise<Answers[K]> {
    const { promise, resolve, reject } = Promise.withResolvers<Answers[keyof Answers]>();
    const call = this.#open({ kind: 'answer', resolve, reject, input: question.input });
    const leave = (): void => {
      this.#leave(call);
      reject(new AdaptletError('REQUEST_CANCELLED', 'The request was given up', { cause: signal.reason }));
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#streams += 1;
    this.#send({ ...question, call });
    try {
      // As in `ask`.
      return (await promise) as Answers[K];
    } finally {
      this.#streams -= 1;
      signal.removeEventListener('abort', leave);
    }
  }

  /** Starts a request. `taken` says that its reader took events, `leave` that it wants no more. */
  generate(input: GenerateInput): {
    readonly stream: EventStream;
    readonly taken: (events: number) => void;
    readonly leave: () => void;
  } {
    const stream = new EventStream();
    const call = this.#open({ kind: 'stream', stream, input, events: 0 });
    let left = false;
    this.#streams += 1;
    this.#send({ kind: 'generate', call, input });
    return {
      stream,
      taken: (events) => {
        this.#send({ kind: 'taken', call, events });
      },
      leave: () => {
        if (left) return;
        left = true;
        this.#streams -= 1;
        this.#leave(call);
      },
    };
  }

  limit(limits: MemoryLimits): void {
    this.#send({ kind: 'limit', limits });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets the present step end; kills when that takes too long. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#send({ kind: 'stop' });
    const cancel = this.#options.clock.after(closeLimitMs, () => {
      this.kill();
    });
    await this.#exited.promise;
    cancel();
  }

  #silenceLimit(): number | undefined {
    if (!this.#ready) return startLimitMs(this.#options);
    return this.#calls.size > 0 ? this.#options.stallTimeoutMs : undefined;
  }

  #open(call: Call): number {
    if (this.#calls.size === 0) this.#watchdog.heard();
    const number = this.#nextCall;
    this.#nextCall += 1;
    this.#calls.set(number, call);
    return number;
  }

  #leave(number: number): void {
    const call = this.#calls.get(number);
    if (call === undefined) return;
    call.hasLeft = true;
    this.#send({ kind: 'cancel', call: number });
  }

  #send(message: ToEngine): void {
    if (!this.#child.connected) return;
    this.#child.send(message, (error) => {
      // The process ended while it was written: `exit` says so to everyone.
      if (error !== null)
        this.#options.logger.debug({ err: error }, 'a message did not reach the engine process');
    });
  }

  #listen(): void {
    const { logger } = this.#options;
    const child = this.#child;
    child.on('message', (message: FromEngine) => {
      this.#watchdog.heard();
      this.#receive(message);
    });
    child.once('error', (error) => {
      this.#end(`could not be started: ${error.message}`);
    });
    child.once('exit', (code, signal) => {
      this.#end(signal === null ? `ended with code ${code}` : `was ended by ${signal}${this.#killedFor}`);
    });
    for (const output of [child.stdout, child.stderr]) {
      if (output === null) continue;
      createInterface({ input: output }).on('line', (line) => {
        logger.warn({ pid: child.pid, line }, 'the engine process says');
      });
    }
  }

  #receive(message: FromEngine): void {
    if (this.#ended) return;
    switch (message.kind) {
      case 'ready':
        this.#ready = true;
        this.#options.onReady(message.info, this.#opening.end());
        break;
      case 'doing':
        if (this.#ready) break;
        this.#opening.doing(message.what);
        this.#options.onDoing(message.what);
        break;
      case 'failed':
        this.#failure = fromWire(message.error);
        break;
      case 'answer':
        this.#settle(message.call, 'answer')?.resolve(message.value);
        break;
      case 'event':
        this.#deliver(message);
        break;
      case 'error':
        this.#refuse(message.call, fromWire(message.error));
        break;
      case 'works':
        this.#works = message.calls;
        break;
      case 'cancelled':
        // A process that closes cancels calls whose callers are there: they hear of its end.
        if (this.#calls.get(message.call)?.hasLeft === true) this.#calls.delete(message.call);
        break;
      case 'alive':
        this.#load = message.load;
        this.#checkStep(message.step);
        this.#tellLimits(message.load?.limits ?? []);
        break;
    }
  }

  /** A provider can hang in native code while the process answers. */
  #checkStep(step: StepAge | undefined): void {
    const { stallTimeoutMs, logger } = this.#options;
    if (step === undefined || step.ageMs <= stepLimitMs(step, stallTimeoutMs)) return;
    logger.error({ pid: this.pid, ...step }, 'a step of the engine process does not end and it is killed');
    this.#killFor(`had a step that did not end for ${Math.round(step.ageMs)} ms`);
  }

  /** As {@link #checkStep}, while the model is opened. */
  #stuckIn(doing: string): void {
    const seconds = Math.round(startLimitMs(this.#options) / 1000);
    this.#options.logger.error(
      { pid: this.pid, doing, seconds, flag: '--stall-timeout' },
      'opening the base model does not get on and the engine process is killed; a slow machine needs a larger stall timeout',
    );
    this.#killFor(`did not get on with ${doing} for ${seconds} s`);
  }

  #killFor(reason: string): void {
    this.#killedFor = ` because it ${reason}`;
    this.kill();
  }

  /** Each budget once. */
  #tellLimits(limits: readonly Limit[]): void {
    for (const limit of limits) {
      if (this.#told.has(limit.flag)) continue;
      this.#told.add(limit.flag);
      this.#options.logger.warn(limit, 'a budget of memory keeps requests from running together');
    }
  }

  #deliver({ call: number, event }: Extract<FromEngine, { kind: 'event' }>): void {
    const call = this.#calls.get(number);
    if (call?.kind !== 'stream') return;
    call.events += 1;
    call.stream.push(event);
    if (event.kind === 'done') this.#calls.delete(number);
  }

  #settle<K extends Call['kind']>(number: number, kind: K): Extract<Call, { kind: K }> | undefined {
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    return call?.kind === kind ? (call as Extract<Call, { kind: K }>) : undefined;
  }

  #refuse(number: number, error: Error): void {
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    if (call?.kind === 'answer') call.reject(error);
    else call?.stream.fail(error);
  }

  /** Requests that the process works on, also of callers who left; all that it has where it does not say which. */
  #workAtEnd(): WorkAtEnd {
    const calls = this.#works?.flatMap((number) => this.#calls.get(number) ?? []) ?? this.#calls.values();
    const work = new Map<string, { readonly engineName: string | null; readonly events: number }>();
    for (const call of calls) {
      if (call.input === undefined) continue;
      const { requestId } = call.input;
      const engineName = 'engineName' in call.input ? call.input.engineName : null;
      work.set(requestId, { engineName, events: call.kind === 'stream' ? call.events : 0 });
    }
    return work;
  }

  #end(how: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#watchdog.stop();
    this.#opening.end();
    const what = `The engine process ${this.#child.pid ?? ''} ${how}`;
    this.#options.onEnd(this.#failure ?? new AdaptletError('ENGINE_DOWN', what), this.#workAtEnd());
    for (const number of this.#calls.keys()) this.#refuse(number, new AdaptletError('ENGINE_DOWN', what));
    this.#exited.resolve();
  }
}

type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;
