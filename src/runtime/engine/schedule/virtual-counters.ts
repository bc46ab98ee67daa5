import { AdaptletError } from '../../../errors/adaptlet-error.ts';

type Share = { counter: number; waiting: number; running: number };

/** Those that left while they were ahead of the others, and whose counters are kept until the others have caught up. */
export const maxRemembered = 256;

/**
 * One level of fair sharing: a counter of the service that each share had, by which the one that had least goes next
 * (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A share is a tenant, or an adapter.
 *
 * - Idleness earns no credit: who begins to wait is lifted to the least counter that anybody waited with at the last
 *   pick.
 * - The counter of a share that neither waits nor runs is forgotten once newcomers begin there: it would be lifted to
 *   that anyway. Of more than 256 that are ahead, the least becomes what newcomers begin with. So a share never comes
 *   back with less than it left with, and however many newcomers there are, they cannot hold up for ever those who had
 *   more.
 *
 * Where a share is picked only if none that waits has less, and at most K items of at most cost L run at a time, the
 * counters of any two that wait differ by K·L at most: a share rises above the others only by what it had under way
 * when it was picked last.
 */
export class VirtualCounters<Key> {
  readonly #shares = new Map<Key, Share>();
  /** Least counter that waited at the last pick. */
  #floor = 0;
  /** What newcomers begin with; the floor at least. */
  #entry = 0;

  /** True when nobody waits or runs: nobody is owed anything, and all of it can be forgotten. */
  get idle(): boolean {
    return !this.#shares.values().some(isActive);
  }

  /** Shares whose counters are held. */
  get size(): number {
    return this.#shares.size;
  }

  /** How much more one of those that wait had than another one of them. */
  get lag(): number {
    const counters = [...this.#shares.values()]
      .filter(({ waiting }) => waiting > 0)
      .map((one) => one.counter);
    return counters.length === 0 ? 0 : Math.max(...counters) - Math.min(...counters);
  }

  of(key: Key): number {
    return this.#shares.get(key)?.counter ?? this.#entry;
  }

  /** An item begins to wait. */
  arrive(key: Key): void {
    const share = this.#shares.get(key) ?? { counter: this.#entry, waiting: 0, running: 0 };
    this.#shares.set(key, share);
    if (share.waiting === 0) {
      // Whoever has items under way is yet to be charged for them: lifting it further would count them twice.
      share.counter = Math.max(share.counter, share.running > 0 ? this.#floor : this.#entry);
    }
    share.waiting += 1;
  }

  /** An item that waits is gone. */
  leave(key: Key): void {
    this.#known(key).waiting -= 1;
    this.#forget();
  }

  /** An item that waits is picked. */
  start(key: Key): void {
    this.#advance();
    const share = this.#known(key);
    share.waiting -= 1;
    share.running += 1;
    this.#forget();
  }

  /** An item that runs has to wait again. */
  back(key: Key): void {
    this.arrive(key);
    this.#known(key).running -= 1;
  }

  /** An item that runs is over. */
  finish(key: Key): void {
    this.#known(key).running -= 1;
    this.#forget();
  }

  /** What was done for a share that is not forgotten; below 0: what was charged before its item ended, and was not done. */
  charge(key: Key, cost: number): void {
    const share = this.#shares.get(key);
    if (share !== undefined) share.counter += cost;
  }

  #known(key: Key): Share {
    const share = this.#shares.get(key);
    if (share === undefined) throw new AdaptletError('INTERNAL', `the fair queue lost ${String(key)}`);
    return share;
  }

  #advance(): void {
    let min = Infinity;
    for (const { counter, waiting } of this.#shares.values()) {
      if (waiting > 0) min = Math.min(min, counter);
    }
    this.#floor = Math.max(this.#floor, min);
    this.#entry = Math.max(this.#entry, this.#floor);
  }

  #forget(): void {
    const inactive = this.#shares.entries().filter(([, share]) => !isActive(share));
    const ahead: number[] = [];
    for (const [key, { counter }] of inactive.toArray()) {
      if (counter <= this.#entry) this.#shares.delete(key);
      else ahead.push(counter);
    }
    if (ahead.length <= maxRemembered) return;
    this.#entry = Math.min(...ahead);
    this.#forget();
  }
}

const isActive = ({ waiting, running }: Share): boolean => waiting > 0 || running > 0;
