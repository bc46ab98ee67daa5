import { selects } from '../../api/selector.ts';
import type { Revision } from '../../control/revision.ts';
import { entryOf, isSameEntry, isVaried } from '../../plan/entry.ts';
import { type ObjectIndex, objectKeyIn } from '../../plan/object-index.ts';
import { SharedMap } from '../../plan/shared-map.ts';
import { calledBy, commonAt, type Entry, type Layer, namespaceIn, ViewPlan } from '../../plan/view-plan.ts';
import type { Scope } from '../objects/scope.ts';
import { Audience } from './audience.ts';
import { Choices } from './choices.ts';
import type { Follower } from './follower.ts';

/** The newest change of each kind that is in a plan, and everything that was seen before it was compiled. */
export type Reached = { readonly revision: Revision; readonly seen: Revision };

/**
 * What is compiled and not published yet: what all have, what those have that the policy of the namespace chooses in place
 * of it, and who has something else than both.
 */
type Draft = {
  readonly common: Entry | undefined;
  readonly chosen: Entry | undefined;
  readonly others: ReadonlyMap<Follower, Entry | undefined>;
};

type Compiled = Draft & { readonly looks: number };

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
 * them; where the policy of its namespace chooses among nodes once for those that it chooses, and once for the others. Where
 * labels or groups give runtimes different ones, the table has the one that most have, and a runtime what it has otherwise.
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
  readonly #choices: Choices;
  #shared = emptyLayer();
  #chosen = emptyLayer();
  /** By the namespaces that choose a runtime. */
  #plans = new Map<ReadonlySet<string>, ViewPlan>();

  constructor({ scope, baseModel }: Pick<Table, 'scope' | 'baseModel'>, parts: TableParts) {
    const { index, policyNamespace, counts } = parts;
    this.scope = scope;
    this.baseModel = baseModel;
    this.#index = index;
    this.#policyNamespace = policyNamespace;
    this.#counts = counts;
    this.#choices = new Choices(index, scope);
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
    return this.#shared.entries.size + this.#chosen.entries.size;
  }

  /**
   * Plans that differ in what a rollout gives: one for each set of namespaces that choose a runtime, and one more for each
   * further version of a Split.
   */
  get views(): number {
    if (this.followers.size === 0) return 0;
    let views = new Set([...this.followers].map(({ chosenBy }) => chosenBy)).size;
    for (const key of this.#varied) {
      if (!key.startsWith('Split ')) continue;
      const versions = new Set<string | undefined>();
      for (const follower of this.followers) versions.add(this.#at(key, follower)?.resource.version);
      views += Math.max(0, versions.size - 1);
    }
    return views;
  }

  planOf(follower: Follower): ViewPlan {
    const { chosenBy: namespaces } = follower;
    let plan = this.#plans.get(namespaces);
    if (plan === undefined) {
      plan = new ViewPlan({ shared: this.#shared, chosen: this.#chosen, namespaces, own: new Map() });
      this.#plans.set(namespaces, plan);
    }
    return follower.planOver(plan);
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
      const { looks, ...draft } = isVaried(this.#index, key)
        ? this.#compileVaried(key)
        : this.#compileCommon(key);
      this.#draft.set(key, draft);
      spent += looks;
      this.#counts.resources += looks;
    }
    return true;
  }

  /** Puts what was compiled in force. The result: who may have something else, and whether that is urgent. */
  publish(reached: Reached, withheld: ReadonlySet<string>): Map<Follower, boolean> {
    const audience = new Audience(this.followers);
    const shared: Change[] = [];
    const chosen: Change[] = [];
    const own = new Map<Follower, Map<string, Entry | undefined>>();
    if (!isSameSet(withheld, this.withheld)) {
      const isFree = (key: string): boolean => this.withheld.has(key) && !withheld.has(key);
      audience.all([...this.#urgent].some(isFree));
    }
    this.withheld = withheld;
    const chosenBefore = this.#choose(audience);
    for (const [key, draft] of this.#draft) {
      const isUrgent = this.#urgent.has(key);
      const common = replacing(shared, key, draft.common, this.#shared);
      const ofChosen = replacing(chosen, key, draft.chosen, this.#chosen);
      const { others } = draft;
      const wasVaried = this.#varied.has(key);
      if (others === noOthers) this.#varied.delete(key);
      else this.#varied.add(key);
      if (others === noOthers && !wasVaried) {
        if (common.isOther) {
          if (common.isSent) audience.all(isUrgent);
          else audience.askers(objectKeyIn(key));
        }
        if (ofChosen.isOther) {
          if (ofChosen.isSent) audience.chosenBy(namespaceIn(key), isUrgent);
          else audience.askers(objectKeyIn(key));
        }
        continue;
      }
      for (const follower of this.followers) {
        if (!follower.isPlaced) continue;
        const isChosen = follower.chosenBy.has(namespaceIn(key));
        const entry = (isChosen ? ofChosen.entry : undefined) ?? common.entry;
        const had = follower.own.has(key)
          ? follower.own.get(key)
          : this.#commonAt(key, chosenBefore.get(follower) ?? follower.chosenBy);
        const has = others.has(follower) ? others.get(follower) : entry;
        if (!isSameEntry(had, has)) audience.one(follower, isUrgent);
        if (isSameEntry(has, entry) && !follower.own.has(key)) continue;
        const changed = own.get(follower) ?? new Map(follower.own);
        own.set(follower, changed);
        if (isSameEntry(has, entry)) changed.delete(key);
        else changed.set(key, isSameEntry(had, has) ? had : has);
      }
    }
    this.#shared = withChanges(this.#shared, shared);
    this.#chosen = withChanges(this.#chosen, chosen);
    this.#renewPlans([...shared, ...chosen]);
    for (const [follower, changed] of own) follower.own = changed;
    this.#draft.clear();
    this.#urgent.clear();
    this.reached = reached;
    this.touchedAt = undefined;
    return audience.told();
  }

  #renewPlans(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const layers = { shared: this.#shared, chosen: this.#chosen };
    const types = new Set(changes.map(([key]) => key.slice(0, key.indexOf(' '))));
    const used = new Set([...this.followers].map(({ chosenBy }) => chosenBy));
    this.#plans = new Map(
      [...this.#plans].flatMap(([namespaces, plan]) =>
        used.has(namespaces) ? [[namespaces, plan.after(layers, types)] as const] : [],
      ),
    );
  }

  /**
   * Policies may choose others than before. The result: those to whom that happened, with the namespaces that chose them
   * until now.
   */
  #choose(audience: Audience): Map<Follower, ReadonlySet<string>> {
    const before = new Map<Follower, ReadonlySet<string>>();
    const changed = this.#choices.changed([...this.#draft.keys()].map(namespaceIn));
    if (changed.size === 0) return before;
    this.#counts.resources += this.followers.size;
    const urgent = new Set([...this.#urgent].map(namespaceIn));
    for (const follower of this.followers) {
      if (!follower.isPlaced) continue;
      const { chosenBy } = follower;
      follower.chosenBy = this.#choices.choosing(follower.view.labels);
      if (follower.chosenBy === chosenBy) continue;
      before.set(follower, chosenBy);
      const isOther = (one: string): boolean => chosenBy.has(one) !== follower.chosenBy.has(one);
      audience.one(
        follower,
        [...changed].some((one) => urgent.has(one) && isOther(one)),
      );
    }
    return before;
  }

  /** Finds what a runtime has otherwise than most; only while {@link isOfNow}. The result: resources that were looked at. */
  place(follower: Follower): number {
    follower.chosenBy = this.#choices.choosing(follower.view.labels);
    const own = new Map<string, Entry | undefined>();
    for (const key of this.#varied) {
      const has = entryOf(this.#index, key, follower.view, this.#policyNamespace);
      if (!isSameEntry(has, this.#commonAt(key, follower.chosenBy))) own.set(key, has);
    }
    follower.own = own;
    follower.isPlaced = true;
    this.unplaced.delete(follower);
    const looks = this.#varied.size + this.#choices.size;
    this.#counts.resources += looks;
    return 1 + looks;
  }

  #commonAt(key: string, namespaces: ReadonlySet<string>): Entry | undefined {
    return commonAt({ shared: this.#shared, chosen: this.#chosen }, namespaces, key);
  }

  #at(key: string, { own, chosenBy }: Follower): Entry | undefined {
    return own.has(key) ? own.get(key) : this.#commonAt(key, chosenBy);
  }

  #compileCommon(key: string): Compiled {
    const chosen = this.#index.has(key) ? this.#choices.of(namespaceIn(key)) : undefined;
    return {
      common: this.#entryWith({}, key),
      chosen: chosen && this.#entryWith(chosen.matchLabels, key),
      others: noOthers,
      looks: chosen === undefined ? 1 : 2,
    };
  }

  /** Of a runtime with these labels, where no others decide. */
  #entryWith(labels: Readonly<Record<string, string>>, key: string): Entry | undefined {
    const runtime = { baseModel: this.baseModel, labels, key: '', scope: this.scope };
    return entryOf(this.#index, key, runtime, this.#policyNamespace);
  }

  #compileVaried(key: string): Compiled {
    const choice = this.#choices.of(namespaceIn(key));
    const all = new Map<Follower, Entry | undefined>();
    const [served, notServed] = [new Most(), new Most()];
    for (const follower of this.followers) {
      const entry = entryOf(this.#index, key, follower.view, this.#policyNamespace);
      const isServed = choice === undefined || selects(choice, follower.view.labels);
      all.set(follower, (isServed ? served : notServed).count(entry));
    }
    const [common, chosen] = choice === undefined ? [served.most, undefined] : [notServed.most, served.most];
    const others = new Map(
      [...all].filter(([follower, entry]) => {
        const isChosen = choice !== undefined && selects(choice, follower.view.labels);
        return entry !== ((isChosen ? chosen : undefined) ?? common);
      }),
    );
    return { common, chosen, others, looks: 1 + this.followers.size };
  }
}

type Change = readonly [string, Entry | undefined];

const emptyLayer = (): Layer => ({ entries: SharedMap.empty(), called: SharedMap.empty() });

/** The entry that a layer is to have: the one of before where that means the same. */
const replacing = (changes: Change[], key: string, now: Entry | undefined, { entries }: Layer) => {
  const before = entries.get(key);
  const entry = isSameEntry(now, before) ? before : now;
  const isOther = entry !== before;
  if (isOther) changes.push([key, entry]);
  return { entry, isOther, isSent: entry?.isSent === true || before?.isSent === true };
};

const withChanges = (layer: Layer, changes: readonly Change[]): Layer => {
  if (changes.length === 0) return layer;
  const routes = changes.filter(([key]) => key.startsWith('Route '));
  const former = routes.flatMap(([key]) => calledBy(layer.entries.get(key)) ?? []);
  const called = layer.called.with([
    ...former.map((name) => [name, undefined] as const),
    ...routes.flatMap(([, entry]) => {
      const name = calledBy(entry);
      return name === undefined ? [] : [[name, name] as const];
    }),
  ]);
  return { entries: layer.entries.with(changes), called };
};

/** The entry that most of some runtimes have. Equal ones are counted as the first of them. */
class Most {
  readonly #counts = new Map<string, { readonly entry: Entry | undefined; count: number }>();

  count(entry: Entry | undefined): Entry | undefined {
    const id = entry === undefined ? '' : `${entry.resource.version} ${entry.isSent}`;
    const counted = this.#counts.get(id) ?? { entry, count: 0 };
    this.#counts.set(id, counted);
    counted.count += 1;
    return counted.entry;
  }

  get most(): Entry | undefined {
    return [...this.#counts.values()].sort((a, b) => b.count - a.count)[0]?.entry;
  }
}

export const isPolicy = (key: string): boolean => key.startsWith('Policy ');

const isSameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a === b || (a.size === b.size && [...a].every((one) => b.has(one)));
