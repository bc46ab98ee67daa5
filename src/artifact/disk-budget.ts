import { AdaptletError } from '../errors/adaptlet-error.ts';

/** Room set aside for an artifact that is on its way. Disposing gives back what was not spent. */
export type Reservation = Disposable & {
  /** Turns reserved bytes into used ones; more than is left of the reservation is used all the same, and less than none gives used ones back. */
  spend(bytes: number): void;
};

/** What a budget is a part of. */
export type Within = {
  /** The budget that this one is a part of: what is taken here is taken there as well. */
  readonly whole: DiskBudget;
  /** Has others within the whole make room for so many bytes, as far as they can. */
  readonly makeRoom?: (bytes: number) => Promise<void>;
};

/** Bytes that something may take of the disk, has taken, and has promised: a part of a node's disk, or all of it. */
export class DiskBudget {
  readonly limit: number;
  readonly #within: Within | undefined;
  #used = 0;
  #reserved = 0;

  constructor(limit: number, within?: Within) {
    this.limit = limit;
    this.#within = within;
  }

  get used(): number {
    return this.#used;
  }
  /** Of this part, and of the whole. */
  get free(): number {
    return this.freeWithout(0);
  }

  /** What would be free if so many of the used bytes went. */
  freeWithout(bytes: number): number {
    const own = Math.max(0, this.limit - this.#used - this.#reserved + bytes);
    return Math.min(own, this.#within?.whole.freeWithout(bytes) ?? Infinity);
  }

  async makeRoom(bytes: number): Promise<void> {
    await this.#within?.makeRoom?.(bytes);
  }

  /** Counts bytes that are on the disk; negative when they are gone. */
  count(bytes: number): void {
    this.#used += bytes;
    this.#within?.whole.count(bytes);
  }

  /** @throws AdaptletError STORE_FULL with the numbers */
  reserve(bytes: number, what: string): Reservation {
    if (bytes > this.free) {
      throw new AdaptletError(
        'STORE_FULL',
        `${what} needs ${bytes} bytes, ${this.free} of the budget of ${this.limit} are free`,
      );
    }
    this.#promise(bytes);
    let left = bytes;
    const giveBack = (amount: number): void => {
      this.#promise(-amount);
      left -= amount;
    };
    return {
      spend: (spent) => {
        giveBack(Math.max(0, Math.min(left, spent)));
        this.count(spent);
      },
      [Symbol.dispose]: () => {
        giveBack(left);
      },
    };
  }

  #promise(bytes: number): void {
    this.#reserved += bytes;
    if (this.#within !== undefined) this.#within.whole.#promise(bytes);
  }
}
