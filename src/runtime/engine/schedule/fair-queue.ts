import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { VirtualCounters } from './virtual-counters.ts';

/** Whose work it is, as far as fairness goes. */
export type Flow = {
  readonly tenant: string;
  /** Null: the base model. */
  readonly adapter: string | null;
  /** A higher one goes first. */
  readonly priority: number;
};

type Entry<T> = {
  readonly item: T;
  readonly flow: Flow;
  /** Number in the order of arrival; kept when the item is preempted. */
  readonly arrival: number;
  readonly preempted: boolean;
};

/** The counters of one priority class. */
type Shares = {
  readonly tenants: VirtualCounters<string>;
  /** By tenant. */
  readonly adapters: Map<string, VirtualCounters<string | null>>;
};

type Move = 'arrive' | 'leave' | 'start' | 'back' | 'finish';

/** Picks in a row that pass over the lower priorities; the next one is for them. */
const picksPassedOver = 7;

/**
 * Who goes next, fairly: between tenants, and within a tenant between its adapters, by the service that each had
 * ({@link VirtualCounters}); in the order of arrival within an adapter, and among those who had the same. Higher
 * priorities go first; one of every eight picks goes to the lower priority whose item waits longest.
 *
 * The caller takes an item by `next` and `started`, charges what is done for its flow, and says `ended`, or `pushBack`
 * when it has to wait again. Charge the prompt with `started` already: several rows that are filled before anything
 * is charged would all go to the same tenant.
 *
 * Guarantees, where what is started is what `next` said, at most K items of at most cost L run at a time, and each is
 * charged before it ends:
 * - the service of two tenants of the same priority, over any time in which both have items waiting, differs by at most
 *   2·K·L, whatever else comes and goes; the same holds for two adapters of a tenant;
 * - work conserving: there is a next one whenever one waits;
 * - no item is lost or comes twice, and none waits for ever;
 * - a tenant that asks for much cannot fill the queue: a full one lets go of an item of whoever has most in it;
 * - memory is bounded by the items that wait or run.
 *
 * Priorities order what waits. Each has its own counters, so a tenant pays in none for what it had in another.
 */
export class FairQueue<T extends { readonly flow: Flow }> {
  readonly #maxLength: number;
  /** In the order of arrival. */
  readonly #waiting: Entry<T>[] = [];
  readonly #running = new Map<T, Entry<T>>();
  /** By priority; those that have items waiting or running. */
  readonly #classes = new Map<number, Shares>();
  #arrivals = 0;
  #passedOver = 0;

  constructor({ maxLength }: { readonly maxLength: number }) {
    this.#maxLength = maxLength;
  }

  /** Items that wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Those that wait, in the order in which they came. */
  items(): readonly T[] {
    return this.#waiting.map(({ item }) => item);
  }

  /**
   * Adds an item. When the queue is full, what had to go is returned: of the tenant with most items waiting, the newest
   * one of its lowest priority, which can be the item itself. `maxLength`: how many may wait at this moment, where those do
   * not count for whom a place is free.
   */
  push(item: T, maxLength = this.#maxLength): T | undefined {
    if (this.#running.has(item) || this.#waiting.some((entry) => entry.item === item))
      throw new AdaptletError('INTERNAL', 'the item is in the fair queue already');
    const entry = { item, flow: item.flow, arrival: this.#arrivals++, preempted: false };
    const dropped = this.#waiting.length < maxLength ? undefined : this.#toDrop(entry);
    if (dropped === entry) return item;
    this.#waiting.push(entry);
    this.#move(entry.flow, 'arrive');
    if (dropped !== undefined) this.remove(dropped.item);
    return dropped?.item;
  }

  /** An item that runs has to wait again: before all that came after it in its flow, never dropped, however full it is. */
  pushBack(item: T): void {
    const entry = this.#running.get(item);
    if (entry === undefined) throw new AdaptletError('INTERNAL', 'what does not run cannot be preempted');
    this.#running.delete(item);
    const later = this.#waiting.findIndex(({ arrival }) => arrival > entry.arrival);
    this.#waiting.splice(later < 0 ? this.#waiting.length : later, 0, { ...entry, preempted: true });
    this.#move(entry.flow, 'back');
  }

  /** Who goes next; it stays. */
  next(): T | undefined {
    const priority = this.#priorityToServe();
    const shares = priority === undefined ? undefined : this.#classes.get(priority);
    if (shares === undefined) return undefined;
    const inClass = this.#waiting.filter(({ flow }) => flow.priority === priority);
    const tenant = minBy(inClass, ({ flow }) => shares.tenants.of(flow.tenant))?.flow.tenant;
    const ofTenant = inClass.filter(({ flow }) => flow.tenant === tenant);
    const adapters = tenant === undefined ? undefined : shares.adapters.get(tenant);
    return minBy(ofTenant, ({ flow }) => adapters?.of(flow.adapter) ?? 0)?.item;
  }

  /** Takes out an item whose caller left. False when it does not wait. */
  remove(item: T): boolean {
    const entry = this.#take(item);
    if (entry === undefined) return false;
    this.#move(entry.flow, 'leave');
    return true;
  }

  /** An item that waits begins to run. `cost`: what is sure to be done for it, in weighted tokens; its prompt. */
  started(item: T, cost = 0): void {
    this.#countPick(item.flow.priority);
    const entry = this.#take(item);
    if (entry === undefined) throw new AdaptletError('INTERNAL', 'what does not wait cannot be started');
    this.#running.set(item, entry);
    this.#move(entry.flow, 'start');
    this.charge(entry.flow, cost);
  }

  /** An item that runs is over. */
  ended(item: T): void {
    const entry = this.#running.get(item);
    if (entry === undefined) throw new AdaptletError('INTERNAL', 'what does not run cannot end');
    this.#running.delete(item);
    this.#move(entry.flow, 'finish');
  }

  /** Work that was done for a flow, in weighted tokens. Before its item ends: later it may not be counted. */
  charge({ tenant, adapter, priority }: Flow, cost: number): void {
    if (!(cost >= 0 && cost < Infinity)) throw new AdaptletError('INTERNAL', `the work done is ${cost}`);
    const shares = this.#classes.get(priority);
    shares?.tenants.charge(tenant, cost);
    shares?.adapters.get(tenant)?.charge(adapter, cost);
  }

  /**
   * How much more service the tenant of `a` had than that of `b`, in weighted tokens; of the same tenant, how much more
   * its adapter had. Not above 0: not more. 0 when their priorities differ, as service is not compared between them.
   */
  beyond(a: Flow, b: Flow): number {
    const shares = a.priority === b.priority ? this.#classes.get(a.priority) : undefined;
    if (shares === undefined) return 0;
    if (a.tenant !== b.tenant) return shares.tenants.of(a.tenant) - shares.tenants.of(b.tenant);
    const adapters = shares.adapters.get(a.tenant);
    return adapters === undefined ? 0 : adapters.of(a.adapter) - adapters.of(b.adapter);
  }

  #take(item: T): Entry<T> | undefined {
    const index = this.#waiting.findIndex((entry) => entry.item === item);
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #highest(): number {
    return this.#waiting.reduce((max, { flow }) => Math.max(max, flow.priority), -Infinity);
  }

  /** The item below the highest priority that waits longest. */
  #oldestBelow(highest: number): Entry<T> | undefined {
    return this.#waiting.find(({ flow }) => flow.priority < highest);
  }

  #priorityToServe(): number | undefined {
    if (this.#waiting.length === 0) return undefined;
    const highest = this.#highest();
    const below = this.#passedOver < picksPassedOver ? undefined : this.#oldestBelow(highest);
    // The whole priority gets the pick, not the item: whoever came first with many would have all such picks else.
    return below?.flow.priority ?? highest;
  }

  #countPick(priority: number): void {
    const highest = this.#highest();
    const passesOver = priority === highest && this.#oldestBelow(highest) !== undefined;
    this.#passedOver = passesOver ? this.#passedOver + 1 : 0;
  }

  #move({ tenant, adapter, priority }: Flow, move: Move): void {
    const shares = this.#classes.get(priority) ?? { tenants: new VirtualCounters(), adapters: new Map() };
    const adapters = shares.adapters.get(tenant) ?? new VirtualCounters();
    shares.tenants[move](tenant);
    adapters[move](adapter);
    // Who all were idle for a moment have had what they asked for: they begin as equals.
    if (adapters.idle) shares.adapters.delete(tenant);
    else shares.adapters.set(tenant, adapters);
    if (shares.tenants.idle) this.#classes.delete(priority);
    else this.#classes.set(priority, shares);
  }

  #toDrop(newcomer: Entry<T>): Entry<T> {
    const ofTenant = new Map<string, number>();
    const all = [...this.#waiting, newcomer];
    for (const { flow } of all) ofTenant.set(flow.tenant, (ofTenant.get(flow.tenant) ?? 0) + 1);
    const waiting = ({ flow }: Entry<T>): number => ofTenant.get(flow.tenant) ?? 0;
    return all
      .filter(({ preempted }) => !preempted)
      .reduce((first, entry) => {
        const byTenant = waiting(entry) - waiting(first);
        if (byTenant !== 0) return byTenant > 0 ? entry : first;
        const byPriority = entry.flow.priority - first.flow.priority;
        if (byPriority !== 0) return byPriority < 0 ? entry : first;
        return entry.arrival > first.arrival ? entry : first;
      }, newcomer);
  }
}

/** The first of those with the least counter. */
const minBy = <E>(entries: readonly E[], counterOf: (entry: E) => number): E | undefined => {
  let first: E | undefined;
  let counter = Infinity;
  for (const entry of entries) {
    const own = counterOf(entry);
    if (own >= counter) continue;
    first = entry;
    counter = own;
  }
  return first;
};
