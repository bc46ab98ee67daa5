import { namespaceOf } from '../api/names.ts';
import { objectKeyIn } from './object-index.ts';
import type { Plan, Versioned } from './resources.ts';
import type { SharedMap } from './shared-map.ts';

/** A resource in a plan. */
export type Entry = {
  readonly resource: Versioned;
  /** False: an adapter that a runtime is sent only when it asks for it by name. */
  readonly isSent: boolean;
};

/** What clients call a route by, as `namespace/model`. */
export const calledBy = (entry: Entry | undefined): string | undefined =>
  entry?.resource.type === 'Route'
    ? `${namespaceOf(entry.resource.name)}/${entry.resource.body.model}`
    : undefined;

/** What one runtime has otherwise than most: undefined where it does not have a resource that they have. */
export type Own = ReadonlyMap<string, Entry | undefined>;

/** Entries, and what clients call the routes among them by, as `namespace/model`. */
export type Layer = { readonly entries: SharedMap<Entry>; readonly called: SharedMap<string> };

type Layers = {
  /** What all runtimes have. */
  readonly shared: Layer;
  /** In place of that: what those have that the policy of a namespace chooses. */
  readonly chosen: Layer;
  /** Namespaces that choose this runtime. Equal ones are the same set. */
  readonly namespaces: ReadonlySet<string>;
  readonly own: Own;
};

/** The namespace of a resource. */
export const namespaceIn = (key: string): string => namespaceOf(objectKeyIn(key));

/**
 * A plan that shares nearly everything with those of other runtimes, and with the plan before it. Looking something up
 * costs the same however big it is; only who goes through all of it pays for all of it, in the order of the keys.
 */
export class ViewPlan implements Plan {
  readonly #layers: Layers;
  readonly #part: 'All' | 'Sent';
  /** The same without `own`. */
  readonly #base: ViewPlan | undefined;
  #sent: ViewPlan | undefined;
  #known: Map<string, Versioned> | undefined;
  /** By type, of a plan of which nothing is a runtime's own. */
  readonly #ofType = new Map<string, ReadonlyMap<string, Versioned>>();

  constructor(layers: Layers, part: 'All' | 'Sent' = 'All', base?: ViewPlan) {
    this.#layers = layers;
    this.#part = part;
    this.#base = base;
  }

  /** What every runtime of this plan is sent. Always the same one. */
  get sent(): ViewPlan {
    if (this.#part === 'Sent') return this;
    this.#sent ??= new ViewPlan(this.#layers, 'Sent', this.#base?.sent);
    return this.#sent;
  }

  /** Whether a route of the plan has that client name, `namespace/model`. */
  hasRouteCalled(name: string): boolean {
    const { own, shared, chosen, namespaces } = this.#layers;
    for (const [key, entry] of own) {
      if (calledBy(entry) === name) return true;
      if (calledBy(this.#common(key)) === name) return false;
    }
    const isChosen = namespaces.size > 0 && namespaces.has(name.slice(0, name.indexOf('/')));
    return (isChosen ? chosen : shared).called.get(name) !== undefined;
  }

  /** Keys at which `from` may have something else. */
  differenceFrom(from: ViewPlan): readonly string[] {
    const [{ shared, own }, before] = [this.#layers, from.#layers];
    const keys = shared.entries.differing(before.shared.entries);
    const chosen = this.#chosenUnlike(from);
    if (own === before.own && chosen.length === 0) return keys;
    const owned = [...own.keys(), ...before.own.keys()].filter((key) => this.#at(key) !== from.#at(key));
    return [...new Set([...keys, ...chosen, ...owned])];
  }

  /** Keys of namespaces that choose this runtime, now or before, at which there may be something else. */
  #chosenUnlike(from: ViewPlan): readonly string[] {
    const [{ chosen, namespaces }, before] = [this.#layers, from.#layers];
    const isIn = (key: string): boolean => {
      const namespace = namespaceIn(key);
      return namespaces.has(namespace) || before.namespaces.has(namespace);
    };
    const keys = chosen.entries.differing(before.chosen.entries).filter(isIn);
    if (namespaces === before.namespaces) return keys;
    const all = [...chosen.entries, ...before.chosen.entries].map(([key]) => key);
    return [...keys, ...all.filter((key) => isIn(key) && this.#at(key) !== from.#at(key))];
  }

  /**
   * This plan, of which nothing is a runtime's own, with other layers. `types`: of resources that differ; all others are
   * those that {@link ofType} has found.
   */
  after({ shared, chosen }: Pick<Layers, 'shared' | 'chosen'>, types: ReadonlySet<string>): ViewPlan {
    const next = new ViewPlan({ ...this.#layers, shared, chosen }, this.#part);
    for (const [start, found] of this.#ofType)
      if (!types.has(start.trimEnd())) next.#ofType.set(start, found);
    return next;
  }

  /** This plan, of which nothing is a runtime's own, for one that has these otherwise. */
  withOwn(own: Own): ViewPlan {
    return new ViewPlan({ ...this.#layers, own }, this.#part, this);
  }

  /** This plan with these in place of what it has: what differs from it costs what these are. */
  with(own: Own): ViewPlan {
    if (own.size === 0) return this;
    return (this.#base ?? this).withOwn(new Map([...this.#layers.own, ...own]));
  }

  /** All resources of a type. They are looked for once for all runtimes that have the plan in common. */
  ofType(type: string): ReadonlyMap<string, Versioned> {
    const start = `${type} `;
    const { own } = this.#layers;
    const found = (this.#base ?? this).#commonOfType(start);
    const others = [...own].filter(([key]) => key.startsWith(start));
    if (others.length === 0) return found;
    const all = new Map(found);
    for (const [key, entry] of others) {
      const resource = this.#of(entry);
      if (resource === undefined) all.delete(key);
      else all.set(key, resource);
    }
    return all;
  }

  #commonOfType(start: string): ReadonlyMap<string, Versioned> {
    const known = this.#ofType.get(start);
    if (known !== undefined) return known;
    const { shared, chosen, namespaces } = this.#layers;
    const found = new Map<string, Versioned>();
    const look = (entries: SharedMap<Entry>, isMeant: (key: string) => boolean): void => {
      for (const [key, entry] of entries) {
        const resource = key.startsWith(start) && isMeant(key) ? this.#of(entry) : undefined;
        if (resource !== undefined) found.set(key, resource);
      }
    };
    look(shared.entries, () => true);
    if (namespaces.size > 0) look(chosen.entries, (key) => namespaces.has(namespaceIn(key)));
    this.#ofType.set(start, found);
    return found;
  }

  get(key: string): Versioned | undefined {
    return this.#of(this.#at(key));
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get size(): number {
    return this.#all().size;
  }

  forEach(each: (value: Versioned, key: string, map: Plan) => void): void {
    for (const [key, value] of this.#all()) each(value, key, this);
  }

  entries(): MapIterator<[string, Versioned]> {
    return this.#all().entries();
  }

  keys(): MapIterator<string> {
    return this.#all().keys();
  }

  values(): MapIterator<Versioned> {
    return this.#all().values();
  }

  [Symbol.iterator](): MapIterator<[string, Versioned]> {
    return this.entries();
  }

  #at(key: string): Entry | undefined {
    const { own } = this.#layers;
    return own.has(key) ? own.get(key) : this.#common(key);
  }

  #common(key: string): Entry | undefined {
    return commonAt(this.#layers, this.#layers.namespaces, key);
  }

  #of(entry: Entry | undefined): Versioned | undefined {
    return this.#part === 'All' || entry?.isSent === true ? entry?.resource : undefined;
  }

  #all(): Map<string, Versioned> {
    if (this.#known !== undefined) return this.#known;
    const { own, shared, chosen, namespaces } = this.#layers;
    const all = new Map<string, Versioned>();
    const set = (key: string, resource: Versioned | undefined): void => {
      if (resource === undefined) all.delete(key);
      else all.set(key, resource);
    };
    if (this.#base === undefined) {
      for (const [key, entry] of shared.entries) set(key, this.#of(entry));
      if (namespaces.size > 0)
        for (const [key, entry] of chosen.entries)
          if (namespaces.has(namespaceIn(key))) set(key, this.#of(entry));
    } else for (const [key, resource] of this.#base) set(key, resource);
    for (const [key, entry] of own) set(key, this.#of(entry));
    const sorted = new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
    // Every runtime that joins goes through what all of them are sent, every one that is held or cordoned through all.
    if (own.size === 0) this.#known = sorted;
    return sorted;
  }
}

/** What a runtime that these namespaces choose has in common with others. */
export const commonAt = (
  { shared, chosen }: Pick<Layers, 'shared' | 'chosen'>,
  namespaces: ReadonlySet<string>,
  key: string,
): Entry | undefined =>
  (namespaces.size > 0 && namespaces.has(namespaceIn(key)) ? chosen.entries.get(key) : undefined) ??
  shared.entries.get(key);
