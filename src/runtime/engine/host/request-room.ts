import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** Milliseconds after which a refused request may find a place. */
const retryAfterMs = 1000;

/** Bounds the requests that run or wait. */
export class RequestRoom {
  readonly #max: number;
  readonly #inside = new Set<number>();

  constructor({ maxConcurrent, maxQueue }: { readonly maxConcurrent: number; readonly maxQueue: number }) {
    this.#max = maxConcurrent + maxQueue;
  }

  /**
   * A place until it is disposed of or left.
   * @throws QUEUE_FULL
   */
  enter(request: number): Disposable {
    if (this.#inside.size >= this.#max) {
      throw new AdaptletError('QUEUE_FULL', `${this.#inside.size} requests run or wait in the engine`, {
        retryAfterMs,
      });
    }
    this.#inside.add(request);
    return {
      [Symbol.dispose]: () => {
        this.leave(request);
      },
    };
  }

  /** At once: who was told that it is over may send the next one before this one has come to its end. */
  leave(request: number): void {
    this.#inside.delete(request);
  }
}
