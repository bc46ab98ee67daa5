import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { namespaceOf as namespaceOfKey } from '../../control/key.ts';
import { ObjectIndex, objectKeyIn, resourceKeyOf } from '../../plan/object-index.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Clock } from '../../time/clock.ts';
import type { Collection, Objects, Read } from '../objects/objects.ts';
import { Policies } from '../objects/policies.ts';
import { type Scope, scopeOf } from '../objects/scope.ts';
import { type Ages, agesByRuntime, agesOf } from './ages.ts';
import { Follower, type Settled } from './follower.ts';
import { inputOf } from './inputs.ts';
import { KeptTables } from './kept-tables.ts';
import { type KeysOfPlans, PlannedKeys } from './planned-keys.ts';
import { isPolicy, type Reached, Table } from './table.ts';
import { takesBack } from './urgency.ts';
import { Withheld } from './withheld.ts';

/** The plan of one runtime at one moment. */
export type RuntimePlan = {
  readonly plan: Plan;
  readonly withheld: ReadonlySet<string>;
  /** Present: all other keys stay as they are. */
  readonly only?: ReadonlySet<string> | undefined;
  /** What the runtime is not sent because its version does not enforce it, by key: why. Absent: nothing. */
  readonly notEnforced?: ReadonlyMap<string, string>;
} & Reached;

/** A connected runtime. */
export type Following = {
  /** Undefined: there is no AdapterRuntime, or its first plan is being compiled. */
  plan(): RuntimePlan | undefined;
  /** The runtime holds everything that `plan()` gives it now: it is told again when that may be more. */
  settled(settled: Settled): void;
  close(): void;
};

/** Bursts of changes are compiled together, at most once in so many milliseconds. */
const minPauseMs = 10;
/** Resources that are compiled in a turn of the event loop. */
const compiledAtOnce = 256;
/** Work of telling runtimes in a turn: what one costs, and that a new one is compared with all of its plan. */
const toldAtOnce = 4_096;
const perTold = 64;
export type PlansParts = {
  readonly objects: Objects;
  readonly clock: Clock;
  /** Absent: those of `objects`, with the default namespace. */
  readonly policies?: Policies;
  /** Keys of callers out of Secrets. Absent: none. */
  readonly keys?: KeysOfPlans | undefined;
  /** What keys for tokens of sessions are made of. Absent: there are no tokens. */
  readonly sessionSecret?: string | undefined;
};

/** A runtime that follows its plan. */
export type FollowerInfo = {
  readonly key: ObjectKey;
  readonly kind: 'Node' | 'Pod';
  readonly baseModel: string;
};

/** `resources`: looks at a resource, for all runtimes of a table or for one; `told`: runtimes that were told. */
export type PlanGauges = {
  readonly views: number;
  readonly compilations: number;
  readonly resources: number;
  readonly told: number;
  readonly milliseconds: number;
  readonly ages: Ages;
};

/**
 * The plans of all connected runtimes. A change compiles what depends on it, once for all runtimes that see it alike, and
 * is told to those for which it changes something. The plan of a pod is made of its namespace alone.
 *
 * Guarantees: a plan is exactly of the objects at its revision; a change that cannot matter compiles nothing; what was
 * stale first is compiled and told first, except that what takes something back goes before all else; each turn of the
 * event loop does a bounded piece of it.
 */
export class Plans {
  readonly #objects: Objects;
  readonly #clock: Clock;
  readonly #policies: Policies;
  readonly #index: ObjectIndex;
  readonly #withheld: Withheld;
  readonly #ends: (() => void)[];
  readonly #followers = new Map<ObjectKey, Set<Follower>>();
  readonly #tables = new Map<Scope, Map<string, Table>>();
  readonly #kept: KeptTables;
  /** Tables with something to do, the oldest first. */
  readonly #due = new Set<Table>();
  /** Followers to tell, those first that have waited longest. */
  readonly #urgent = new Set<Follower>();
  readonly #others = new Set<Follower>();
  /** What changes now takes something back. */
  #isUrgent = false;
  /** A round of tables has begun: its next turns do not wait for the pause. */
  #isUnderWay = false;
  #timer: { readonly at: number; readonly stop: () => void } | undefined;
  #ranAt = Number.NEGATIVE_INFINITY;
  readonly #counts = { compilations: 0, resources: 0, told: 0, milliseconds: 0 };

  constructor(parts: PlansParts) {
    const { objects, clock, policies = new Policies(objects.policies), keys, sessionSecret } = parts;
    this.#objects = objects;
    this.#clock = clock;
    this.#policies = policies;
    this.#index = new ObjectIndex({
      policyOf: policies.policyOf,
      touched: (key) => this.#touched(key),
      isWatched: () => this.#tables.size > 0,
      sessionSecret,
    });
    this.#kept = new KeptTables(clock, (table) => this.#drop(table));
    this.#withheld = new Withheld(policies, objects.adapters);
    this.#ends = [
      this.#observe('AdapterPolicy', objects.policies, policies.inForce),
      this.#observe('Adapter', objects.adapters),
      this.#observe('AdapterRollout', objects.rollouts),
      this.#observe('AdapterRoute', objects.routes),
      objects.runtimes.onChange(({ type, key, object }) => {
        const labels = type === 'deleted' ? undefined : object.object?.metadata.labels;
        for (const follower of this.#followers.get(key) ?? []) this.#relabel(follower, labels);
      }),
      ...(keys === undefined ? [] : [this.#observeKeys(keys)]),
    ];
  }

  /** `changed` is called when `plan()` may be another one. */
  follow({ key, kind, baseModel }: FollowerInfo, changed: () => void): Following {
    const labels = this.#objects.runtimes.get(key)?.object?.metadata.labels;
    const now = this.#clock.monotonic();
    const follower = new Follower({ key, scope: scopeOf(kind, key), baseModel }, labels, { now, changed });
    const table = this.#tableOf(follower);
    // Nobody lacked what changed while nobody followed.
    if (table.followers.size === 0 && table.touchedAt !== undefined) table.touchedAt = now;
    this.#followers.set(key, (this.#followers.get(key) ?? new Set()).add(follower));
    table.followers.add(follower);
    this.#due.add(table);
    if (labels !== undefined) table.unplaced.add(follower);
    this.#schedule();
    return {
      plan: () => this.#planOf(follower, table),
      settled: (settled) => {
        follower.settled = settled;
        follower.staleSince = undefined;
        this.#urgent.delete(follower);
        this.#others.delete(follower);
      },
      close: () => this.#forget(follower, table),
    };
  }

  /** For how many milliseconds each runtime that follows has lacked something of its plan. */
  ages(): Iterable<readonly [ObjectKey, number]> {
    return agesByRuntime(this.#allTables(), this.#clock.monotonic());
  }

  gauges(): PlanGauges {
    const tables = this.#allTables();
    return {
      ...this.#counts,
      get views() {
        return tables.reduce((sum, table) => sum + table.views, 0);
      },
      ages: agesOf(tables, this.#clock.monotonic()),
    };
  }

  close(): void {
    this.#timer?.stop();
    for (const end of this.#ends) end();
    this.#kept.close();
    this.#followers.clear();
    this.#tables.clear();
    this.#due.clear();
  }

  #allTables(): readonly Table[] {
    return [...this.#tables.values()].flatMap((byModel) => [...byModel.values()]);
  }

  #planOf(follower: Follower, table: Table): RuntimePlan | undefined {
    // Labels of an AdapterRuntime that was deleted a moment ago would be a guess: nothing is sent until it is back.
    if (!follower.isPlaced || table.reached === undefined) return undefined;
    const { withheld, reached, isOfNow } = table;
    // Nothing that matters came since: the plan is that of now as well.
    return { plan: table.planOf(follower), withheld, ...(isOfNow ? this.#reached() : reached) };
  }

  #reached(): Reached {
    return { revision: this.#objects.revision(), seen: this.#objects.seen() };
  }

  /** `inForce`: the object that counts, where that is not the present one. */
  #observe<T extends Manifest>(
    kind: T['kind'],
    collection: Collection<T>,
    inForce: (key: ObjectKey, read: Read<T> | undefined) => Manifest | undefined = (_, read) => read?.object,
  ): () => void {
    const set = (key: ObjectKey, read: Read<T> | undefined): void => {
      this.#withheld.set(resourceKeyOf(kind, key), read !== undefined && read.object === undefined);
      this.#index.set(kind, key, inForce(key, read));
      if (kind === 'AdapterPolicy') this.#index.policiesChanged(this.#policies.boundBy(namespaceOf(key)));
    };
    for (const read of collection.list()) set(read.key, read);
    return collection.onChange(({ type, key, object, before }) => {
      const [former, now] = type === 'deleted' ? [object, undefined] : [before, object];
      if (now !== undefined && former !== undefined && inputOf(former) === inputOf(now)) {
        const same = inForce(key, now);
        if (same !== undefined) this.#index.refresh(kind, key, same);
        return;
      }
      // Runtimes keep what they have of an object that cannot be read.
      const isRead = now === undefined || now.object !== undefined;
      // So what ends with it may be in service, whatever it was.
      const wasKept = kind === 'AdapterRollout' && now === undefined && former?.object === undefined;
      this.#isUrgent = wasKept || (isRead && takesBack(former?.object, now?.object));
      set(key, now);
      this.#isUrgent = false;
      this.#schedule();
    });
  }

  #observeKeys(keys: KeysOfPlans): () => void {
    const planned = new PlannedKeys(keys, { index: this.#index, withheld: this.#withheld });
    planned.look();
    let stop: (() => void) | undefined;
    // Secrets come one at a time, and each look counts the keys of all.
    const unfollow = keys.onChange(() => {
      stop ??= this.#clock.after(0, () => {
        stop = undefined;
        // A key may have been taken back.
        this.#isUrgent = true;
        planned.look();
        this.#isUrgent = false;
        this.#schedule();
      });
    });
    return () => {
      unfollow();
      stop?.();
    };
  }

  #touched(key: string): void {
    const scopes: Iterable<Scope> =
      isPolicy(key) && namespaceOf(objectKeyIn(key)) === this.#policies.namespace
        ? this.#tables.keys()
        : [undefined, namespaceOfKey(key)];
    const now = this.#clock.monotonic();
    for (const scope of scopes) {
      for (const table of this.#tables.get(scope)?.values() ?? []) {
        table.touch(key, now, this.#isUrgent);
        // What most have of it is not known before somebody follows.
        if (table.followers.size > 0) this.#due.add(table);
      }
    }
  }

  #tableOf({ scope, baseModel }: Follower): Table {
    const byModel = this.#tables.get(scope) ?? new Map<string, Table>();
    this.#tables.set(scope, byModel);
    let table = byModel.get(baseModel);
    if (table === undefined) {
      const parts = { index: this.#index, policyNamespace: this.#policies.namespace, counts: this.#counts };
      table = new Table({ scope, baseModel }, parts);
      byModel.set(baseModel, table);
    }
    this.#kept.take(table);
    return table;
  }

  #forget(follower: Follower, table: Table): void {
    const { key } = follower;
    const all = this.#followers.get(key);
    all?.delete(follower);
    if (all?.size === 0) this.#followers.delete(key);
    this.#urgent.delete(follower);
    this.#others.delete(follower);
    table.unplaced.delete(follower);
    table.followers.delete(follower);
    if (table.followers.size > 0) return;
    this.#due.delete(table);
    // What nobody waited for is not compiled to its end.
    if (table.reached === undefined) this.#drop(table);
    else this.#kept.keep(table);
  }

  #drop(table: Table): void {
    const { scope, baseModel } = table;
    const byModel = this.#tables.get(scope);
    byModel?.delete(baseModel);
    if (byModel?.size === 0) this.#tables.delete(scope);
  }

  #relabel(follower: Follower, labels: Follower['labels']): void {
    if (isSame(follower.labels, labels)) return;
    const table = this.#tableOf(follower);
    follower.labels = labels;
    follower.isPlaced = false;
    follower.staleSince ??= this.#clock.monotonic();
    if (labels === undefined) {
      table.unplaced.delete(follower);
      this.#others.add(follower);
    } else {
      table.unplaced.add(follower);
      this.#due.add(table);
    }
    this.#schedule();
  }

  #schedule(): void {
    const now = this.#clock.monotonic();
    const isTelling = this.#urgent.size + this.#others.size > 0;
    if (!isTelling && this.#due.size === 0) return;
    const at = isTelling || this.#isUnderWay ? now : Math.max(now, this.#ranAt + minPauseMs);
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.stop();
    const stop = this.#clock.after(at - now, () => {
      this.#timer = undefined;
      this.#run();
    });
    this.#timer = { at, stop };
  }

  /** A piece of a table and a part of those that wait to be told; the rest in the next turns. */
  #run(): void {
    if (this.#isUnderWay || this.#clock.monotonic() >= this.#ranAt + minPauseMs) this.#compile();
    this.#tell();
    this.#schedule();
  }

  #compile(): void {
    const due = [...this.#due];
    const table = due.find(({ isUrgent }) => isUrgent) ?? due[0];
    if (table === undefined) return;
    const startedAt = this.#clock.monotonic();
    if (table.compile(compiledAtOnce)) {
      if (!table.isOfNow) this.#publish(table);
      let left = compiledAtOnce;
      for (const follower of table.unplaced) {
        if (left <= 0) break;
        left -= table.place(follower);
        this.#queue(follower, false, startedAt);
      }
      if (table.unplaced.size === 0) this.#due.delete(table);
    }
    this.#isUnderWay = this.#due.size > 0;
    // Only a whole round counts for the pause: its tables are one change.
    const endedAt = this.#clock.monotonic();
    if (!this.#isUnderWay) this.#ranAt = endedAt;
    this.#counts.milliseconds += endedAt - startedAt;
  }

  #publish(table: Table): void {
    const { touchedAt = this.#clock.monotonic() } = table;
    this.#counts.compilations += 1;
    const told = table.publish(this.#reached(), this.#withheld.in(table.scope));
    for (const [follower, isUrgent] of told) this.#queue(follower, isUrgent, touchedAt);
  }

  #queue(follower: Follower, isUrgent: boolean, since: number): void {
    follower.settled = undefined;
    follower.staleSince ??= since;
    if (isUrgent) {
      this.#others.delete(follower);
      this.#urgent.add(follower);
    } else if (!this.#urgent.has(follower)) this.#others.add(follower);
  }

  #tell(): void {
    let left = toldAtOnce;
    const isUrgentDue = [...this.#due].some(({ isUrgent }) => isUrgent);
    for (const waiting of isUrgentDue ? [this.#urgent] : [this.#urgent, this.#others]) {
      for (const follower of waiting) {
        if (left <= 0) return;
        waiting.delete(follower);
        left -= perTold + (follower.isKnown ? 0 : this.#tableOf(follower).size);
        follower.isKnown = true;
        this.#counts.told += 1;
        follower.changed();
      }
    }
  }
}

const isSame = (a: Follower['labels'], b: Follower['labels']): boolean => {
  if (a === undefined || b === undefined) return a === b;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
};
