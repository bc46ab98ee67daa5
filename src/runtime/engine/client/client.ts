import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import { backoffMs } from '../../../time/backoff.ts';
import type { Clock } from '../../../time/clock.ts';
import type {
  Engine,
  EngineInfo,
  EngineLoad,
  EngineState,
  GenerateEvent,
  GenerateInput,
  MemoryLimits,
  ProbeResult,
  WorkAtEnd,
} from '../engine.ts';
import { eventWindow, type StartOptions } from '../protocol.ts';
import type { EncodeInput, EncodeResult, InferInput, InferResult } from '../tasks.ts';
import { EngineLife } from './engine-life.ts';
import type { OpeningTimes } from './opening.ts';

export type EngineOptions = Omit<StartOptions, 'besideBytes' | 'cacheRoomBytes'> & {
  /** RAM that other processes of this node have still to take; asked each time the process begins. Absent: none. */
  readonly besideBytes?: (() => number) | undefined;
  /** Bytes that `cacheDir` may have by the disk budget, with what is there; asked each time the process begins. Absent: no bound. */
  readonly cacheRoomBytes?: (() => number) | undefined;
  readonly clock: Clock;
  readonly logger: Log;
  /** Milliseconds without a sign of life, while calls are under way, after which the process is killed. */
  readonly stallTimeoutMs: number;
  /** Milliseconds that each part of opening the base model may take at least; default ten minutes. */
  readonly leastStartMs?: number;
  /** Told what the process does next to open the base model. */
  readonly onDoing?: (what: string) => void;
  /** For the jitter of restarts. */
  readonly random?: () => number;
};

/** The engine, and what only its owner and fault tests need. */
export type EngineClient = Engine & {
  /** Of the process that runs now. */
  readonly pid: number | undefined;
  /** What the process did a moment ago; undefined when it did nothing yet. */
  readonly now: EngineLoad | undefined;
  /** Why the process ended last, when it has not been ready since. */
  readonly failure: AdaptletError | undefined;
  /** Of the process that ended last; empty before any did. */
  readonly workAtEnd: WorkAtEnd;
  /** What its process, and those that come after it, may take from now on. */
  limit(limits: MemoryLimits): void;
};

const restartDelays = { firstMs: 100, maxMs: 10_000 };
/** A process that was ready for this long was well: the next restart is quick again. */
const wellMs = 30_000;
/** Events are acknowledged in groups. */
const acknowledgeEvery = eventWindow / 2;
/** Requests that the process may not have decided about. */
const maxUndecided = 64;
/** Milliseconds after which a refused request may find a place. */
const retryAfterMs = 1000;

class ProcessEngine implements EngineClient {
  readonly #options: EngineOptions;
  readonly #listeners = new Set<(state: EngineState) => void>();
  #state: EngineState = 'starting';
  #life: EngineLife;
  #info: EngineInfo | undefined;
  #failure: AdaptletError | undefined;
  #workAtEnd: WorkAtEnd = new Map();
  #limits: MemoryLimits | undefined;
  #restarts = 0;
  #readyAt: number | undefined;
  #cancelRestart: () => void = () => undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#life = this.#begin();
  }

  get state(): EngineState {
    return this.#state;
  }
  get pid(): number | undefined {
    return this.#life.pid;
  }
  get now(): EngineLoad | undefined {
    return this.#life.load;
  }
  get failure(): AdaptletError | undefined {
    return this.#failure;
  }
  get workAtEnd(): WorkAtEnd {
    return this.#workAtEnd;
  }

  limit(limits: MemoryLimits): void {
    this.#limits = limits;
    if (this.#state === 'ready') this.#life.limit(limits);
  }

  info(): EngineInfo {
    if (this.#info !== undefined) return this.#info;
    throw this.#down();
  }

  async load(name: string, file: string): Promise<{ readonly bytes: number; readonly ms: number }> {
    return await this.#alive().ask({ kind: 'load', name, file });
  }

  async probe(name: string): Promise<ProbeResult> {
    return await this.#alive().ask({ kind: 'probe', name });
  }

  async unload(name: string): Promise<void> {
    await this.#alive().ask({ kind: 'unload', name });
  }

  /** Begins with the first `next()`: an iterable that nobody reads costs nothing. */
  async *generate(input: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const cancelled = (): AdaptletError =>
      new AdaptletError('REQUEST_CANCELLED', `Request ${input.requestId} was given up`, {
        cause: signal.reason,
      });
    if (signal.aborted) throw cancelled();
    const life = this.#alive();
    this.#checkRoom(life);
    const { stream, taken, leave } = life.generate(input);
    const abort = (): void => {
      stream.fail(cancelled());
      leave();
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (let unacknowledged = 1; ; unacknowledged += 1) {
        const event = await stream.next();
        if (event.kind === 'done') {
          // Who is answered ends the request by its signal: that would be an error, with a trace of the stack, for each.
          signal.removeEventListener('abort', abort);
          leave();
        }
        yield event;
        if (event.kind === 'done') return;
        if (unacknowledged === acknowledgeEvery) {
          taken(unacknowledged);
          unacknowledged = 0;
        }
      }
    } finally {
      signal.removeEventListener('abort', abort);
      leave();
    }
  }

  async encode(input: EncodeInput, signal: AbortSignal): Promise<EncodeResult> {
    return await this.#admitted(signal).request({ kind: 'encode', input }, signal);
  }

  async infer(input: InferInput, signal: AbortSignal): Promise<InferResult> {
    return await this.#admitted(signal).request({ kind: 'infer', input }, signal);
  }

  onState(listener: (state: EngineState) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    if (this.#state !== 'closed') this.#become('closed');
    this.#cancelRestart();
    await this.#life.close();
  }

  #begin(): EngineLife {
    const { clock, logger, stallTimeoutMs, leastStartMs, random: _, ...given } = this.#options;
    const { onDoing = () => undefined, besideBytes = () => 0, cacheRoomBytes, ...start } = given;
    return new EngineLife({
      start: { ...start, besideBytes: besideBytes(), cacheRoomBytes: cacheRoomBytes?.() },
      clock,
      logger,
      stallTimeoutMs,
      ...(leastStartMs === undefined ? {} : { leastStartMs }),
      onDoing,
      onReady: (info, opening) => {
        this.#ready(info, opening);
      },
      onEnd: (failure, work) => {
        this.#workAtEnd = work;
        this.#ended(failure);
      },
    });
  }

  #ready(info: EngineInfo, opening: OpeningTimes): void {
    if (this.#state === 'closed') return;
    this.#info = info;
    this.#failure = undefined;
    this.#readyAt = this.#options.clock.monotonic();
    const { graphFile, baseDigest, loraOperator, task } = info;
    const takes =
      task === 'infer' ? {} : { adapters: loraOperator === '' ? 'portable' : `native, ${loraOperator}` };
    this.#options.logger.info(
      { enginePid: this.pid, graphFile, baseDigest, ...takes, openingMs: opening },
      'the engine is ready',
    );
    if (this.#limits !== undefined) this.#life.limit(this.#limits);
    this.#become('ready');
  }

  #ended(failure: AdaptletError): void {
    if (this.#state === 'closed') return;
    const { clock, logger, random = Math.random } = this.#options;
    if (this.#readyAt !== undefined && clock.monotonic() - this.#readyAt > wellMs) this.#restarts = 0;
    this.#readyAt = undefined;
    this.#failure = failure;
    this.#restarts += 1;
    const delayMs = backoffMs(this.#restarts, random, restartDelays);
    logger.error(
      { err: failure, delayMs: Math.round(delayMs) },
      'the engine process ended and is started again',
    );
    this.#cancelRestart = clock.after(delayMs, () => {
      this.#become('starting');
      this.#life = this.#begin();
    });
    this.#become('down');
  }

  #become(state: EngineState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  #alive(): EngineLife {
    if (this.#state === 'ready') return this.#life;
    throw this.#down();
  }

  /**
   * The process that takes one more request.
   * @throws ENGINE_DOWN, QUEUE_FULL, REQUEST_CANCELLED
   */
  #admitted(signal: AbortSignal): EngineLife {
    if (signal.aborted) {
      throw new AdaptletError('REQUEST_CANCELLED', 'The request was given up', { cause: signal.reason });
    }
    const life = this.#alive();
    this.#checkRoom(life);
    return life;
  }

  #down(): AdaptletError {
    const why = this.#failure === undefined ? '' : `: ${this.#failure.what}`;
    return new AdaptletError('ENGINE_DOWN', `The engine is ${this.#state}${why}`, {
      ...(this.#failure === undefined ? {} : { advice: this.#failure.advice }),
      cause: this.#failure,
    });
  }

  /**
   * The process decides whom its full queue lets go; it does so between steps. What comes meanwhile must not pile up before
   * it.
   */
  #checkRoom(life: EngineLife): void {
    const { maxConcurrent, maxQueue } = this.#options;
    if (life.streams < maxConcurrent + maxQueue + maxUndecided) return;
    throw new AdaptletError('QUEUE_FULL', `${life.streams} requests run or wait in the engine`, {
      retryAfterMs,
    });
  }
}

/**
 * Starts the engine process for a base model and keeps it running: it is started again, with growing delays, whenever
 * it ends or gives no sign of life.
 */
export const startEngine = (options: EngineOptions): EngineClient => new ProcessEngine(options);
