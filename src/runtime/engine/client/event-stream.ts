import type { GenerateEvent } from '../engine.ts';

/**
 * Events of one request between the process and its reader. Bounded by the window that the process keeps: no more
 * than `eventWindow` token events are sent before the reader took some.
 */
export class EventStream {
  readonly #events: GenerateEvent[] = [];
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  push(event: GenerateEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** Ends the stream at once: what was not read is dropped. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** The next event, in order. Throws what the stream failed with. */
  async next(): Promise<GenerateEvent> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const event = this.#events.shift();
      if (event !== undefined) return event;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }
}
