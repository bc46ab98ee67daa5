import type { Clock } from '../../../time/clock.ts';
import type { GenerateEvent } from '../engine.ts';
import { AtWork } from '../host/at-work.ts';
import type { Ending, EngineHost } from '../host/engine-host.ts';
import { type Answers, type FromEngine, type StartOptions, type ToEngine, toWire } from '../protocol.ts';
import { refuseTask } from '../tasks.ts';
import { openHost } from './open-host.ts';

export type EngineProcessParts = {
  /** `sent` is called once the message is on its way. */
  readonly send: (message: FromEngine, sent?: () => void) => void;
  readonly exit: (code: number) => void;
  readonly warn: (message: string) => void;
  readonly clock: Clock;
  readonly random: () => number;
};

type Answer = Answers[keyof Answers];

/**
 * Does it in its turn, once the next step was started: what a token costs to send then passes while that runs on its
 * own thread.
 */
const whileItRuns = (work: () => void): void => {
  setImmediate(work);
};

/** How often the process says that it lives while calls are under way. */
const aliveMs = 250;

/** The messages of the engine process: one dispatch, and the calls that are under way. */
export class EngineProcess {
  readonly #parts: EngineProcessParts;
  readonly #calls = new Set<number>();
  #host: EngineHost | undefined;
  #starting = false;
  /** Something was asked since the last sign of life. */
  #asked = false;
  readonly #stopped = new AbortController();

  constructor(parts: EngineProcessParts) {
    this.#parts = parts;
    this.#beat();
  }

  receive(message: ToEngine): void {
    switch (message.kind) {
      case 'start':
        void this.#start(message.options);
        break;
      case 'load':
        void this.#answer(message.call, (host) => host.load(message.name, message.file));
        break;
      case 'unload':
        void this.#answer(message.call, async (host) => {
          await host.unload(message.name);
          return undefined;
        });
        break;
      case 'probe':
        void this.#answer(message.call, (host) => host.probe(message.name));
        break;
      case 'generate':
        this.#generate(message);
        break;
      case 'encode':
        void this.#answer(message.call, async (host) => {
          if (host.encode === undefined) throw refuseTask(host.info.task, 'embed');
          return await host.encode(message.call, message.input);
        });
        break;
      case 'infer':
        void this.#answer(message.call, async (host) => {
          if (host.infer === undefined) throw refuseTask(host.info.task, 'infer');
          return await host.infer(message.call, message.input);
        });
        break;
      case 'cancel':
        this.#host?.cancel(message.call);
        break;
      case 'taken':
        this.#host?.taken?.(message.call, message.events);
        break;
      case 'limit':
        this.#host?.limit?.(message.limits);
        // What that left is told with the next sign of life.
        this.#asked = true;
        break;
      case 'stop':
        void this.#stop();
        break;
    }
  }

  async #start(options: StartOptions): Promise<void> {
    const { send, exit, warn, clock, random } = this.#parts;
    const doing = (what: string): void => send({ kind: 'doing', what });
    const atWork = new AtWork((calls) => send({ kind: 'works', calls }));
    const { signal } = this.#stopped;
    this.#starting = true;
    try {
      this.#host = await openHost({ ...options, clock, warn, doing, random, atWork, signal });
      send({ kind: 'ready', info: this.#host.info });
    } catch (error) {
      send({ kind: 'failed', error: toWire(error) }, () => {
        exit(1);
      });
    } finally {
      this.#starting = false;
    }
  }

  async #answer(call: number, work: (host: EngineHost) => Promise<Answer>): Promise<void> {
    this.#calls.add(call);
    this.#asked = true;
    try {
      const value = await work(this.#ready());
      this.#parts.send({ kind: 'answer', call, value });
    } catch (error) {
      this.#parts.send({ kind: 'error', call, error: toWire(error) });
    } finally {
      this.#calls.delete(call);
    }
  }

  #generate({ call, input }: Extract<ToEngine, { kind: 'generate' }>): void {
    const { send } = this.#parts;
    const ended = (ending: Ending): void => {
      whileItRuns(() => {
        this.#calls.delete(call);
        if (ending.kind === 'failed') send({ kind: 'error', call, error: toWire(ending.error) });
        else if (ending.kind === 'cancelled') send({ kind: 'cancelled', call });
      });
    };
    this.#calls.add(call);
    this.#asked = true;
    try {
      const host = this.#ready();
      if (host.generate === undefined) throw refuseTask(host.info.task, 'generate');
      const emit = (event: GenerateEvent): void => {
        whileItRuns(() => send({ kind: 'event', call, event }));
      };
      host.generate(call, input, emit, ended);
    } catch (error) {
      ended({ kind: 'failed', error });
    }
  }

  /** The parent sends no call before `ready`. */
  #ready(): EngineHost {
    if (this.#host === undefined) throw new Error('a call came before the base model was loaded');
    return this.#host;
  }

  async #stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    await this.#host?.close();
    whileItRuns(() => this.#parts.exit(0));
  }

  #beat(): void {
    this.#parts.clock.after(aliveMs, () => {
      // Once more when it became idle: what it does now is nothing.
      const step = this.#host?.steps.look();
      if (this.#starting || this.#asked) this.#parts.send({ kind: 'alive', load: this.#host?.now?.(), step });
      this.#asked = this.#calls.size > 0;
      this.#beat();
    });
  }
}
