import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FairQueue, type Flow } from '../schedule/fair-queue.ts';

/** Milliseconds after which a refused request may find a place. */
const retryAfterMs = 1000;

type Guest = { readonly request: number; readonly flow: Flow; readonly drop: (error: AdaptletError) => void };

/** Bounds the requests that run or wait. A full one lets go of a request of whoever has most, as {@link FairQueue} does. */
export class RequestRoom {
  readonly #guests: FairQueue<Guest>;

  constructor({ maxConcurrent, maxQueue }: { readonly maxConcurrent: number; readonly maxQueue: number }) {
    this.#guests = new FairQueue({ maxLength: maxConcurrent + maxQueue });
  }

  /**
   * A place until it is disposed of or left. `drop`: called when somebody else's request needs it more.
   * @throws QUEUE_FULL
   */
  enter(request: number, flow: Flow, drop: (error: AdaptletError) => void): Disposable {
    const guest = { request, flow, drop };
    const { size } = this.#guests;
    const dropped = this.#guests.push(guest);
    const full = (): AdaptletError =>
      new AdaptletError('QUEUE_FULL', `${size} requests run or wait in the engine`, { retryAfterMs });
    if (dropped === guest) throw full();
    dropped?.drop(full());
    return {
      [Symbol.dispose]: () => {
        this.#guests.remove(guest);
      },
    };
  }

  /** At once: who was told that it is over may send the next one before this one has come to its end. */
  leave(request: number): void {
    const guest = this.#guests.items().find((one) => one.request === request);
    if (guest !== undefined) this.#guests.remove(guest);
  }
}
