import type { Clock } from '../../time/clock.ts';
import type { Engine, EngineState } from '../engine/engine.ts';
import { closing } from '../engine/failures.ts';
import type { Entry } from './entry.ts';
import { byUrgency } from './urgency.ts';

/** How long the news of an end may come after the calls that it cut off. */
const newsMs = 1_000;

/** Follows the engine process: when it ends, when it is back, and who waits for that. */
export class EngineWatch {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #waiting = new Map<PromiseWithResolvers<void>, Entry>();
  readonly #mourning = new Set<() => void>();
  readonly #stop: () => void;
  #wasReady: boolean;

  constructor(engine: Engine, clock: Clock, on: { readonly lost: () => void; readonly ready: () => void }) {
    this.#engine = engine;
    this.#clock = clock;
    this.#wasReady = engine.state === 'ready';
    this.#stop = engine.onState((state) => {
      this.#follow(state, on);
    });
  }

  #follow(state: EngineState, on: { readonly lost: () => void; readonly ready: () => void }): void {
    if (state !== 'ready') {
      if (this.#wasReady) {
        this.#wasReady = false;
        on.lost();
        for (const go of this.#mourning) go();
      }
      if (state === 'closed') for (const waiter of this.#waiting.keys()) waiter.reject(closed());
      return;
    }
    if (this.#wasReady) return;
    this.#wasReady = true;
    const inOrder = [...this.#waiting].sort(([, a], [, b]) => byUrgency(a, b));
    for (const [waiter] of inOrder) waiter.resolve();
    on.ready();
  }

  /**
   * Resolves when the engine can be called, the most urgent adapter first.
   * @throws ENGINE_DOWN once it is closed, or the reason of `abort`
   */
  async ready(entry: Entry): Promise<void> {
    const { signal } = entry.abort;
    signal.throwIfAborted();
    if (this.#engine.state === 'ready') return;
    if (this.#engine.state === 'closed') throw closed();
    const waiter = Promise.withResolvers<void>();
    const abort = () => {
      waiter.reject(signal.reason);
    };
    this.#waiting.set(waiter, entry);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await waiter.promise;
    } finally {
      this.#waiting.delete(waiter);
      signal.removeEventListener('abort', abort);
    }
  }

  /** After a call was cut off: resolves when the end of the engine is announced, at the latest after a second. */
  async announced(): Promise<void> {
    if (this.#engine.state !== 'ready') return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#mourning.add(resolve);
    const cancel = this.#clock.after(newsMs, resolve);
    await promise;
    cancel();
    this.#mourning.delete(resolve);
  }

  close(): void {
    this.#stop();
  }
}

const closed = () => closing('the engine is closed');
