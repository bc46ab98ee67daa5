import { AdaptletError } from '../errors/adaptlet-error.ts';

/** Room set aside for an artifact that is on its way. Disposing gives back what was not spent. */
export type Reservation = Disposable & {
  /** Turns reserved bytes into used ones; more than is left of the reservation is used all the same. */
  spend(bytes: number): void;
};

/** Bytes that the store may take, has taken, and has promised. */
export class DiskBudget {
  readonly limit: number;
  #used = 0;
  #reserved = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }
  get free(): number {
    return Math.max(0, this.limit - this.#used - this.#reserved);
  }

  /** Counts bytes that are on the disk; negative when they are gone. */
  count(bytes: number): void {
    this.#used += bytes;
  }

  /** @throws AdaptletError STORE_FULL with the numbers */
  reserve(bytes: number, what: string): Reservation {
    if (bytes > this.free) {
      throw new AdaptletError(
        'STORE_FULL',
        `${what} needs ${bytes} bytes, ${this.free} of the budget of ${this.limit} are free`,
      );
    }
    this.#reserved += bytes;
    let left = bytes;
    const giveBack = (amount: number): void => {
      this.#reserved -= amount;
      left -= amount;
    };
    return {
      spend: (spent) => {
        giveBack(Math.min(left, spent));
        this.#used += spent;
      },
      [Symbol.dispose]: () => {
        giveBack(left);
      },
    };
  }
}
