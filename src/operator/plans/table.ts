import type { Revision } from '../../control/revision.ts';
import { entryOf, isSameEntry, isVaried } from '../../plan/entry.ts';
import { type ObjectIndex, objectKeyIn } from '../../plan/object-index.ts';
import { SharedMap } from '../../plan/shared-map.ts';
import { calledBy, type Entry, ViewPlan } from '../../plan/view-plan.ts';
import type { Scope } from '../objects/scope.ts';
import { Audience } from './audience.ts';
import type { Follower } from './follower.ts';

/** The newest change of each kind that is in a plan, and everything that was seen before it was compiled. */
export type Reached = { readonly revision: Revision; readonly seen: Revision };

/** What is compiled and not published yet: what all have, and who has something else. */
type Draft = {
  readonly common: Entry | undefined;
  readonly others: ReadonlyMap<Follower, Entry | undefined>;
};

export type TableParts = {
  readonly index: ObjectIndex;
  /** Whose policy holds for namespaces without one. */
  readonly policyNamespace: string;
  /** `resources`: looks at a resource, for all runtimes of a table or for one of them. */
  readonly counts: { resources: number };
};

const noOthers: Draft['others'] = new Map();
const nothing: ReadonlySet<string> = new Set();

/**
 * The plans of all runtimes with one base model that see the same objects. Each resource is compiled once for all of
 * them. Where labels or groups give runtimes different ones, the table has the one that most have, and a runtime what it
 * has otherwise.
 *
 * Guarantees: what is published is exactly that of the objects at the time of `publish`, which is only called when
 * nothing is left to compile. A plan that was published never changes.
 */
export class Table {
  readonly scope: Scope;
  readonly baseModel: string;
  readonly followers = new Set<Follower>();
  /** Those whose own part is to be found. */
  readonly unplaced = new Set<Follower>();
  /** Keys to compile. */
  readonly #touched = new Set<string>();
  /** Of these, and of those that were compiled and not published: what takes something out of service. */
  readonly #urgent = new Set<string>();
  /** Since when there is something to compile, by the monotonic clock. */
  touchedAt: number | undefined;
  /** Undefined before the first time that it was published. */
  reached: Reached | undefined;
  withheld: ReadonlySet<string> = nothing;
  readonly #index: ObjectIndex;
  readonly #policyNamespace: string;
  readonly #counts: TableParts['counts'];
  readonly #draft = new Map<string, Draft>();
  readonly #varied = new Set<string>();
  #shared = SharedMap.empty<Entry>();
  #called = SharedMap.empty<string>();
  #plan = new ViewPlan({ shared: this.#shared, called: this.#called, own: new Map() });

  constructor({ scope, baseModel }: Pick<Table, 'scope' | 'baseModel'>, parts: TableParts) {
    const { index, policyNamespace, counts } = parts;
    this.scope = scope;
    this.baseModel = baseModel;
    this.#index = index;
    this.#policyNamespace = policyNamespace;
    this.#counts = counts;
    for (const key of index.keysIn(scope)) this.#touched.add(key);
    // The policy of the operator's namespace holds for namespaces that have none.
    if (scope !== undefined && scope !== policyNamespace)
      for (const key of index.keysIn(policyNamespace)) if (isPolicy(key)) this.#touched.add(key);
  }

  /** What is published has everything that was seen. */
  get isOfNow(): boolean {
    return this.reached !== undefined && this.touchedAt === undefined;
  }

  get size(): number {
    return this.#shared.size;
  }

  /** Plans that differ in what a rollout gives: one, and one more for each further version of a Split. */
  get views(): number {
    let views = 1;
    for (const key of this.#varied) {
      if (!key.startsWith('Split ')) continue;
      const versions = new Set<string | undefined>();
      for (const { own } of this.followers)
        versions.add((own.has(key) ? own.get(key) : this.#shared.get(key))?.resource.version);
      views += Math.max(0, versions.size - 1);
    }
    return views;
  }

  planOf(follower: Follower): ViewPlan {
    return follower.planOver(this.#plan);
  }

  /** Something in it takes a version out of service. */
  get isUrgent(): boolean {
    return this.#urgent.size > 0;
  }

  touch(key: string, now: number, isUrgent: boolean): void {
    this.#touched.add(key);
    if (isUrgent) this.#urgent.add(key);
    this.touchedAt ??= now;
  }

  /** Compiles until about so many resources were looked at, for all runtimes or for one. True: nothing is left. */
  compile(budget: number): boolean {
    let spent = 0;
    for (const key of this.#touched) {
      if (spent >= budget) return false;
      this.#touched.delete(key);
      const draft = isVaried(this.#index, key, this.scope)
        ? this.#compileVaried(key)
        : this.#compileCommon(key);
      this.#draft.set(key, draft);
      const looks = draft.others === noOthers ? 1 : 1 + this.followers.size;
      spent += looks;
      this.#counts.resources += looks;
    }
    return true;
  }

  /** Puts what was compiled in force. The result: who may have something else, and whether that is urgent. */
  publish(reached: Reached, withheld: ReadonlySet<string>): Map<Follower, boolean> {
    const audience = new Audience(this.followers);
    const shared: [string, Entry | undefined][] = [];
    const own = new Map<Follower, Map<string, Entry | undefined>>();
    if (!isSameSet(withheld, this.withheld)) audience.all(false);
    this.withheld = withheld;
    for (const [key, { common, others }] of this.#draft) {
      const isUrgent = this.#urgent.has(key);
      const before = this.#shared.get(key);
      const entry = isSameEntry(common, before) ? before : common;
      if (entry !== before) shared.push([key, entry]);
      const wasVaried = this.#varied.has(key);
      if (others === noOthers) this.#varied.delete(key);
      else this.#varied.add(key);
      if (others === noOthers && !wasVaried) {
        if (entry === before) continue;
        if (entry?.isSent === true || before?.isSent === true) audience.all(isUrgent);
        else audience.askers(objectKeyIn(key));
        continue;
      }
      for (const follower of this.followers) {
        if (!follower.isPlaced) continue;
        const had = follower.own.has(key) ? follower.own.get(key) : before;
        const has = others.has(follower) ? others.get(follower) : entry;
        if (!isSameEntry(had, has)) audience.one(follower, isUrgent);
        if (isSameEntry(has, entry) && !follower.own.has(key)) continue;
        const changed = own.get(follower) ?? new Map(follower.own);
        own.set(follower, changed);
        if (isSameEntry(has, entry)) changed.delete(key);
        else changed.set(key, isSameEntry(had, has) ? had : has);
      }
    }
    this.#replace(shared);
    for (const [follower, changed] of own) follower.own = changed;
    this.#draft.clear();
    this.#urgent.clear();
    this.reached = reached;
    this.touchedAt = undefined;
    return audience.told();
  }

  /** Finds what a runtime has otherwise than most; only while {@link isOfNow}. The result: resources that were looked at. */
  place(follower: Follower): number {
    const own = new Map<string, Entry | undefined>();
    for (const key of this.#varied) {
      const has = entryOf(this.#index, key, follower.view, this.#policyNamespace);
      if (!isSameEntry(has, this.#shared.get(key))) own.set(key, has);
    }
    follower.own = own;
    follower.isPlaced = true;
    this.unplaced.delete(follower);
    this.#counts.resources += this.#varied.size;
    return 1 + this.#varied.size;
  }

  #compileCommon(key: string): Draft {
    const runtime = { baseModel: this.baseModel, labels: {}, key: '', scope: this.scope };
    return { common: entryOf(this.#index, key, runtime, this.#policyNamespace), others: noOthers };
  }

  #compileVaried(key: string): Draft {
    const all = new Map<Follower, Entry | undefined>();
    const counts = new Map<string, { readonly entry: Entry | undefined; count: number }>();
    for (const follower of this.followers) {
      const entry = entryOf(this.#index, key, follower.view, this.#policyNamespace);
      const id = entry === undefined ? '' : `${entry.resource.version} ${entry.isSent}`;
      const counted = counts.get(id) ?? { entry, count: 0 };
      counts.set(id, counted);
      counted.count += 1;
      all.set(follower, counted.entry);
    }
    const [most] = [...counts.values()].sort((a, b) => b.count - a.count);
    const others = new Map([...all].filter(([, entry]) => entry !== most?.entry));
    return { common: most?.entry, others };
  }

  #replace(changes: readonly [string, Entry | undefined][]): void {
    if (changes.length === 0) return;
    const routes = changes.filter(([key]) => key.startsWith('Route '));
    const called = routes.flatMap(([key]) => calledBy(this.#shared.get(key)) ?? []);
    this.#called = this.#called.with([
      ...called.map((name) => [name, undefined] as const),
      ...routes.flatMap(([, entry]) => {
        const name = calledBy(entry);
        return name === undefined ? [] : [[name, name] as const];
      }),
    ]);
    this.#shared = this.#shared.with(changes);
    this.#plan = new ViewPlan({ shared: this.#shared, called: this.#called, own: new Map() });
  }
}

export const isPolicy = (key: string): boolean => key.startsWith('Policy ');

const isSameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a === b || (a.size === b.size && [...a].every((one) => b.has(one)));
