import type { Clock } from '../../../src/time/clock.ts';
import type { Ask, Send } from './crowd.ts';

export type GreedyOptions = {
  readonly clock: Clock;
  readonly send: Send;
  /** Requests that are open all the time: one that is answered makes room for the next. */
  readonly open: number;
  readonly next: (index: number) => Ask;
};

/** Someone with many requests at a time, until disposed of. */
export class Greedy implements AsyncDisposable {
  /** When tokens came, by the clock. */
  readonly tokenMs: number[] = [];
  readonly #options: GreedyOptions;
  readonly #over = new AbortController();
  readonly #lanes: Promise<void>;
  readonly #waiting: { readonly begun: number; readonly resolve: () => void }[] = [];
  #asked = 0;
  #begun = 0;

  constructor(options: GreedyOptions) {
    this.#options = options;
    this.#lanes = Promise.all(Array.from({ length: options.open }, () => this.#lane())).then(() => undefined);
    // Whoever disposes of this is told; nobody may be waiting before.
    this.#lanes.catch(() => undefined);
  }

  /** Resolves once so many answers have begun; rejects when a request fails. */
  async begun(count: number): Promise<void> {
    const enough = new Promise<void>((resolve) => this.#waiting.push({ begun: count, resolve }));
    this.#tell();
    await Promise.race([enough, this.#lanes]);
  }

  /** Gives up what is open. Rejects with the first error that a request had before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#lanes;
  }

  async #lane(): Promise<void> {
    const { send, next, clock } = this.#options;
    const { signal } = this.#over;
    try {
      while (!signal.aborted) {
        const ask = next(this.#asked);
        this.#asked += 1;
        let tokens = 0;
        await send(
          ask,
          () => {
            tokens += 1;
            if (tokens === 1) this.#begun += 1;
            this.tokenMs.push(clock.monotonic());
            this.#tell();
          },
          signal,
        );
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #tell(): void {
    for (const { begun, resolve } of this.#waiting) if (this.#begun >= begun) resolve();
  }
}
