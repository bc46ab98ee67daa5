import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { EngineClient } from '../engine/client/client.ts';
import type {
  EngineLoad,
  EngineState,
  GenerateEvent,
  GenerateInput,
  MemoryLimits,
  ProbeResult,
  WorkAtEnd,
} from '../engine/engine.ts';
import type { EncodeInput, EncodeResult, InferInput, InferResult } from '../engine/tasks.ts';

/** An engine whose base model is not here yet: it is `starting` until {@link LateEngine.begin}, then the one that began. */
export class LateEngine implements EngineClient {
  readonly #listeners = new Set<(state: EngineState) => void>();
  /** Why it cannot be called yet; '' for no reason of its own. */
  readonly #waitsFor: () => string;
  #engine: EngineClient | undefined;
  #limits: MemoryLimits | undefined;
  #isClosed = false;

  constructor(waitsFor: () => string) {
    this.#waitsFor = waitsFor;
  }

  /** The model is here: takes over the engine that was started with it. */
  begin(engine: EngineClient): void {
    this.#engine = engine;
    if (this.#limits !== undefined) engine.limit(this.#limits);
    engine.onState((state) => {
      for (const listener of this.#listeners) listener(state);
    });
  }

  get state(): EngineState {
    return this.#engine?.state ?? (this.#isClosed ? 'closed' : 'starting');
  }
  get pid(): number | undefined {
    return this.#engine?.pid;
  }
  get now(): EngineLoad | undefined {
    return this.#engine?.now;
  }
  get failure(): AdaptletError | undefined {
    return this.#engine?.failure;
  }
  get workAtEnd(): WorkAtEnd {
    return this.#engine?.workAtEnd ?? new Map();
  }

  limit(limits: MemoryLimits): void {
    this.#limits = limits;
    this.#engine?.limit(limits);
  }

  info(): ReturnType<EngineClient['info']> {
    return this.#begun().info();
  }
  load(name: string, file: string): ReturnType<EngineClient['load']> {
    return this.#asked((engine) => engine.load(name, file));
  }
  probe(name: string): Promise<ProbeResult> {
    return this.#asked((engine) => engine.probe(name));
  }
  unload(name: string): Promise<void> {
    return this.#asked((engine) => engine.unload(name));
  }
  generate(input: GenerateInput, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    return this.#begun().generate(input, signal);
  }
  encode(input: EncodeInput, signal: AbortSignal): Promise<EncodeResult> {
    return this.#asked((engine) => engine.encode(input, signal));
  }
  infer(input: InferInput, signal: AbortSignal): Promise<InferResult> {
    return this.#asked((engine) => engine.infer(input, signal));
  }

  onState(listener: (state: EngineState) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#engine !== undefined) await this.#engine.close();
    else for (const listener of this.#listeners) listener('closed');
  }

  async #asked<T>(ask: (engine: EngineClient) => Promise<T>): Promise<T> {
    return await ask(this.#begun());
  }

  #begun(): EngineClient {
    if (this.#engine !== undefined) return this.#engine;
    const why = this.#waitsFor();
    throw new AdaptletError('ENGINE_DOWN', why === '' ? `The engine is ${this.state}` : why, {
      advice: 'Send the request again once /readyz says ok.',
    });
  }
}
