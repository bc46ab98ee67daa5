import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Engine, EngineState } from '../engine/engine.ts';

/** Follows the engine process: its lives, and who waits for it. */
export class EngineWatch {
  /** Grows by one each time the engine ended: what was loaded in another life is gone. */
  life = 0;
  readonly #engine: Engine;
  readonly #waiting = new Set<PromiseWithResolvers<void>>();
  readonly #stop: () => void;
  #wasReady: boolean;

  constructor(engine: Engine, on: { readonly lost: () => void; readonly ready: () => void }) {
    this.#engine = engine;
    this.#wasReady = engine.state === 'ready';
    this.#stop = engine.onState((state) => {
      this.#follow(state, on);
    });
  }

  #follow(state: EngineState, on: { readonly lost: () => void; readonly ready: () => void }): void {
    if (state !== 'ready') {
      if (this.#wasReady) {
        this.#wasReady = false;
        this.life += 1;
        on.lost();
      }
      if (state === 'closed') for (const waiter of this.#waiting) waiter.reject(closed());
      return;
    }
    if (this.#wasReady) return;
    this.#wasReady = true;
    // Who waited for the engine is more urgent than what is merely loaded again.
    for (const waiter of this.#waiting) waiter.resolve();
    on.ready();
  }

  /** Resolves when the engine can be called. Errors: ENGINE_DOWN once it is closed, or the signal's reason. */
  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#engine.state === 'ready') return;
    if (this.#engine.state === 'closed') throw closed();
    const waiter = Promise.withResolvers<void>();
    const abort = () => {
      waiter.reject(signal.reason);
    };
    this.#waiting.add(waiter);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await waiter.promise;
    } finally {
      this.#waiting.delete(waiter);
      signal.removeEventListener('abort', abort);
    }
  }

  close(): void {
    this.#stop();
  }
}

const closed = () => new AdaptletError('ENGINE_DOWN', 'the engine is closed');
