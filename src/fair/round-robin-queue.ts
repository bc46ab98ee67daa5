/** How much runs and waits at a time. */
export type RoundRobinLimits = {
  /** How many run at once in all, and of one group. */
  readonly running: number;
  readonly runningOfGroup: number;
  /** How many of one group wait at most. */
  readonly waitingOfGroup: number;
};

type Group<T> = { running: number; readonly waiting: T[] };

/**
 * Work that waits for one of few places. The groups get them in round-robin order, so that a group with much to do
 * delays only itself.
 */
export class RoundRobinQueue<T> {
  readonly #limits: RoundRobinLimits;
  /** The group that got a place last is the last one. */
  readonly #groups = new Map<string, Group<T>>();
  #running = 0;

  constructor(limits: RoundRobinLimits) {
    this.#limits = limits;
  }

  /** False when too many of the group wait: then the item is not taken. */
  add(name: string, item: T): boolean {
    const group = this.#groups.get(name) ?? { running: 0, waiting: [] };
    if (group.waiting.length >= this.#limits.waitingOfGroup) return false;
    group.waiting.push(item);
    this.#groups.set(name, group);
    return true;
  }

  /**
   * The next item, which has a place from now on until `done`; undefined when none waits that could have one. Items that
   * may not run yet let those behind them go first, and their group others.
   */
  take(mayRun: (item: T) => boolean = () => true): T | undefined {
    if (this.#running >= this.#limits.running) return undefined;
    for (const [name, group] of this.#groups) {
      if (group.running >= this.#limits.runningOfGroup) continue;
      const index = group.waiting.findIndex(mayRun);
      const [item] = index < 0 ? [] : group.waiting.splice(index, 1);
      if (item === undefined) continue;
      group.running++;
      this.#running++;
      this.#groups.delete(name);
      this.#groups.set(name, group);
      return item;
    }
    return undefined;
  }

  /** Gives the place of an item of the group back. */
  done(name: string): void {
    const group = this.#groups.get(name);
    if (group === undefined || group.running === 0) throw new RangeError(`nothing of ${name} has a place`);
    group.running--;
    this.#running--;
    this.#forgetIfIdle(name, group);
  }

  /** Takes an item out that still waits; one that has a place keeps it until `done`. */
  remove(name: string, item: T): void {
    const group = this.#groups.get(name);
    const index = group?.waiting.indexOf(item) ?? -1;
    if (group === undefined || index < 0) return;
    group.waiting.splice(index, 1);
    this.#forgetIfIdle(name, group);
  }

  #forgetIfIdle(name: string, group: Group<T>): void {
    if (group.running === 0 && group.waiting.length === 0) this.#groups.delete(name);
  }
}
