import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Whose } from '../tasks.ts';
import { AttainedService } from './attained-service.ts';
import { type Move, type Path, ShareTree } from './share-tree.ts';

/** Whose work it is, as far as fairness goes. A tenant is one within its namespace. */
export type Flow = {
  /** Absent: the one without a name. */
  readonly namespace?: string;
  readonly tenant: string;
  /** Null: the base model. */
  readonly adapter: string | null;
  /** A higher one goes first. */
  readonly priority: number;
  /** Items of its namespace that are sure to run at a time. Absent: none. */
  readonly guaranteed?: number;
  /** Bytes of keys and values that its namespace is sure to have. Absent: none. */
  readonly kvGuaranteed?: number;
};

/** The flow of a request for an adapter, or for the base model. */
export const flowOf = (
  {
    namespace = '',
    tenant = '',
    priority = 0,
    guaranteed = 0,
    kvGuaranteedBytes: kvGuaranteed = 0,
  }: Whose & { readonly kvGuaranteedBytes?: number },
  adapter: string | null,
): Flow => ({ namespace, tenant, adapter, priority, guaranteed, kvGuaranteed });

/** Bytes of an adapter that take as long to load as a token of a prompt takes to compute: bench `cold` has 0.75 ms for a MiB. */
const loadedBytesPerToken = 1 << 20;

/** What the loads of adapters for a request count, in weighted tokens. */
export const loadCost = (loadedBytes = 0): number => loadedBytes / loadedBytesPerToken;

type Entry<T> = {
  readonly item: T;
  readonly flow: Flow;
  readonly path: Path;
  /** Number in the order of arrival; kept when the item is preempted. */
  readonly arrival: number;
  readonly preempted: boolean;
  /** Since when its adapter has got nothing while it waited. */
  since: number;
};

export type FairQueueOptions = {
  readonly maxLength: number;
  /** Milliseconds; absent: no time passes. */
  readonly now?: () => number;
};

/** How fair it is between namespaces at the moment. */
export type Fairness = {
  /** Jain's index of the work done of late for those that wait or run. */
  readonly jain: number;
  /** The most, in weighted tokens, that one that waits is behind another one that waits. */
  readonly lag: number;
};

/** Picks in a row that pass over the lower priorities; the next one is for them. */
const picksPassedOver = 7;

/** Milliseconds that an adapter without an item that runs waits for one, before it goes first within its tenant. */
export const overdueMs = 5000;

/** An adapter is told from the base model, whatever it is called. */
export const pathOf = ({ namespace = '', tenant, adapter }: Flow): Path => [namespace, tenant, adapter];

/** Levels of a path above the adapter. */
const tenantLevels = 2;

const isSamePath = (a: Path, b: Path): boolean => a.every((key, level) => key === b[level]);

/**
 * Who goes next, fairly: between namespaces, within one between its tenants, and within a tenant between its adapters, by the
 * service that each had ({@link VirtualCounters}); in the order of arrival within an adapter, and among those who had the same.
 * Higher priorities go first; one of every eight picks goes to the lower priority whose item waits longest. Before all of
 * that comes a namespace of which fewer items run than are guaranteed to it. Where nothing runs between two picks, that would be
 * for ever: whoever asks `next` there has to ask it by service alone now and then.
 *
 * Within a tenant an adapter of which nothing runs goes first once it has got nothing for {@link overdueMs}, whatever it had
 * before: the one first that has got nothing for longest.
 *
 * The caller takes an item by `next` and `started`, charges what is done for its flow, and says `ended`, or `pushBack`
 * when it has to wait again. Charge the prompt with `started` already: several rows that are filled before anything
 * is charged would all go to the same tenant.
 *
 * Guarantees, where what is started is what `next` said, at most K items of at most cost L run at a time, and each is
 * charged before it ends:
 * - the service of two namespaces of the same priority, over any time in which both have items waiting, differs by at most
 *   2·K·L, whatever else comes and goes, where nothing is guaranteed; the same holds for two tenants of a namespace, and for two
 *   adapters of a tenant of which neither is overdue;
 * - an adapter that waits gets one of the next F picks of its tenant at the latest once it is overdue, where F adapters of the
 *   tenant wait;
 * - work conserving: there is a next one whenever one waits that may go;
 * - no item is lost or comes twice, and none waits for ever, where the items that run are more than those that are guaranteed;
 * - whoever asks for much cannot fill the queue: a full one lets go of an item of the namespace with most in it beyond what is
 *   guaranteed to it, of the tenant of it with most;
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
  readonly #classes = new Map<number, ShareTree>();
  readonly #attained = new AttainedService();
  readonly #now: () => number;
  #arrivals = 0;
  #passedOver = 0;

  constructor({ maxLength, now = () => 0 }: FairQueueOptions) {
    this.#maxLength = maxLength;
    this.#now = now;
  }

  get fairness(): Fairness {
    const namespaces = [...this.#waiting, ...this.#running.values()].map(namespaceOf);
    const lag = Math.max(0, ...this.#classes.values().map((shares) => shares.lag));
    return { jain: this.#attained.jain(namespaces, this.#now()), lag };
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
    const { flow } = item;
    const entry: Entry<T> = {
      item,
      flow,
      path: pathOf(flow),
      arrival: this.#arrivals++,
      preempted: false,
      since: this.#now(),
    };
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
    this.#waiting.splice(later < 0 ? this.#waiting.length : later, 0, {
      ...entry,
      preempted: true,
      since: this.#now(),
    });
    this.#move(entry.flow, 'back');
  }

  /** Who goes next, of those that may; it stays. `owedFirst` false: by service alone, whatever is guaranteed. */
  next(mayGo: (item: T) => boolean = () => true, { owedFirst = true } = {}): T | undefined {
    const able = this.#waiting.filter(({ item }) => mayGo(item));
    const owed = owedFirst ? able.filter((entry) => this.#isOwed(entry)) : [];
    const waiting = owed.length === 0 ? able : owed;
    const priority = this.#priorityToServe(waiting);
    const shares = priority === undefined ? undefined : this.#classes.get(priority);
    if (shares === undefined) return undefined;
    const inClass = waiting.filter(({ flow }) => flow.priority === priority);
    const ofTenant = shares.least(inClass, tenantLevels);
    return (this.#overdue(ofTenant) ?? shares.least(inClass, tenantLevels + 1)[0])?.item;
  }

  /** True when its adapter has got nothing for so long that it goes first within its tenant. */
  isOverdue(item: T): boolean {
    const entry = this.#waiting.find((one) => one.item === item);
    return entry !== undefined && this.#hasWaited(entry);
  }

  /** True while fewer of its namespace run than are guaranteed to it: it goes before all that are not owed a place. */
  isOwed(item: T): boolean {
    const entry = this.#waiting.find((one) => one.item === item);
    return entry !== undefined && this.#isOwed(entry);
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
    for (const other of this.#waiting) if (isSamePath(other.path, entry.path)) other.since = this.#now();
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
  charge(flow: Flow, cost: number): void {
    if (!(cost >= 0 && cost < Infinity)) throw new AdaptletError('INTERNAL', `the work done is ${cost}`);
    this.#charge(flow, cost);
  }

  /** What was charged for an item that runs, and is not done for it. */
  refund(flow: Flow, cost: number): void {
    if (!(cost >= 0 && cost < Infinity)) throw new AdaptletError('INTERNAL', `the work not done is ${cost}`);
    this.#charge(flow, -cost);
  }

  /**
   * How much more service the namespace of `a` had than that of `b`, in weighted tokens; of the same namespace, how much more
   * its tenant had, and of the same tenant its adapter. Not above 0: not more. 0 when their priorities differ, as service is
   * not compared between them.
   */
  beyond(a: Flow, b: Flow): number {
    const shares = a.priority === b.priority ? this.#classes.get(a.priority) : undefined;
    return shares?.beyond(pathOf(a), pathOf(b)) ?? 0;
  }

  #charge(flow: Flow, cost: number): void {
    this.#classes.get(flow.priority)?.charge(pathOf(flow), cost);
    this.#attained.add(flow.namespace ?? '', cost, this.#now());
  }

  #runningOf(namespace: string): number {
    return this.#running.values().reduce((count, one) => count + Number(namespaceOf(one) === namespace), 0);
  }

  /** Fewer of its namespace run than are guaranteed to it. */
  #isOwed(entry: Entry<T>): boolean {
    const { guaranteed = 0 } = entry.flow;
    return guaranteed > 0 && this.#runningOf(namespaceOf(entry)) < guaranteed;
  }

  #hasWaited({ path, since }: Entry<T>): boolean {
    return (
      this.#now() - since > overdueMs &&
      !this.#running.values().some((running) => isSamePath(running.path, path))
    );
  }

  /** The first of the adapter that has got nothing for longest; undefined when none has for too long. */
  #overdue(entries: readonly Entry<T>[]): Entry<T> | undefined {
    const [first] = entries.filter((one) => this.#hasWaited(one)).toSorted((a, b) => a.since - b.since);
    return first;
  }

  #take(item: T): Entry<T> | undefined {
    const index = this.#waiting.findIndex((entry) => entry.item === item);
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #priorityToServe(waiting: readonly Entry<T>[]): number | undefined {
    if (waiting.length === 0) return undefined;
    const highest = highestOf(waiting);
    const below = this.#passedOver < picksPassedOver ? undefined : oldestBelow(waiting, highest);
    // The whole priority gets the pick, not the item: whoever came first with many would have all such picks else.
    return below?.flow.priority ?? highest;
  }

  #countPick(priority: number): void {
    const highest = highestOf(this.#waiting);
    const passesOver = priority === highest && oldestBelow(this.#waiting, highest) !== undefined;
    this.#passedOver = passesOver ? this.#passedOver + 1 : 0;
  }

  #move(flow: Flow, move: Move): void {
    const shares = this.#classes.get(flow.priority) ?? new ShareTree();
    shares.move(pathOf(flow), move);
    if (shares.idle) this.#classes.delete(flow.priority);
    else this.#classes.set(flow.priority, shares);
  }

  #toDrop(newcomer: Entry<T>): Entry<T> {
    const all = [...this.#waiting, newcomer];
    const namespaces = Map.groupBy(all, namespaceOf);
    const tenants = Map.groupBy(all, tenantOf);
    /** Beyond what its namespace is sure to run. */
    const excess = (entry: Entry<T>): number => {
      const namespace = namespaceOf(entry);
      const owed = Math.max(0, (entry.flow.guaranteed ?? 0) - this.#runningOf(namespace));
      return (namespaces.get(namespace)?.length ?? 0) - owed;
    };
    const ofTenant = (entry: Entry<T>): number => tenants.get(tenantOf(entry))?.length ?? 0;
    const [first = newcomer] = all
      .filter(({ preempted }) => !preempted)
      .map((entry) => ({ entry, excess: excess(entry), ofTenant: ofTenant(entry) }))
      .toSorted(
        (a, b) =>
          b.excess - a.excess ||
          b.ofTenant - a.ofTenant ||
          a.entry.flow.priority - b.entry.flow.priority ||
          b.entry.arrival - a.entry.arrival,
      )
      .map(({ entry }) => entry);
    return first;
  }
}

const namespaceOf = ({ flow }: { readonly flow: Flow }): string => flow.namespace ?? '';

/** JSON keeps the parts apart, whatever characters they have. */
const tenantOf = ({ path }: { readonly path: Path }): string => JSON.stringify(path.slice(0, tenantLevels));

const highestOf = (waiting: readonly { readonly flow: Flow }[]): number =>
  waiting.reduce((max, { flow }) => Math.max(max, flow.priority), -Infinity);

/** The item below a priority that waits longest. */
const oldestBelow = <E extends { readonly flow: Flow }>(
  waiting: readonly E[],
  highest: number,
): E | undefined => waiting.find(({ flow }) => flow.priority < highest);
