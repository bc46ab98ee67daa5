import type { Clock } from '../../time/clock.ts';

/** A client that left later than so many milliseconds behind the beginning of its request did not leave early: it cannot come again often. */
export const earlyMs = 1000;

/** Early leaves of an address that count for nothing: so many at once, and one more in each so many milliseconds. */
const free = { atOnce: 40, everyMs: 50 } as const;

/** Addresses that are remembered, each for two seconds at most. */
const mostAddresses = 4096;

/** How often clients of an address left early: people who think better of it, or type on, do so now and then. */
export class Leaves {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** When what each did is made up for. */
  readonly #until = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** A client of the address left early. False: that was once too often. */
  isFree(address: string): boolean {
    const now = this.#clock.monotonic();
    const until = Math.max(now, this.#until.get(address) ?? now) + free.everyMs;
    if (until > now + free.atOnce * free.everyMs) return false;
    // Behind all others: the first one is that of which least was heard.
    this.#until.delete(address);
    this.#until.set(address, until);
    if (this.#until.size > mostAddresses) this.#forget(now);
    return true;
  }

  /** Those that made up for what they did, and one in any case. */
  #forget(now: number): void {
    const [first] = this.#until.keys();
    for (const [address, until] of this.#until)
      if (address === first || until <= now) this.#until.delete(address);
  }
}
