import { namespaceOf } from '../api/names.ts';
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

type Layers = {
  readonly shared: SharedMap<Entry>;
  /** What clients call the routes by, as `namespace/model`. */
  readonly called: SharedMap<string>;
  readonly own: Own;
};

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
    const { called, own, shared } = this.#layers;
    for (const [key, entry] of own) {
      if (calledBy(entry) === name) return true;
      if (calledBy(shared.get(key)) === name) return false;
    }
    return called.get(name) !== undefined;
  }

  /** Keys at which `from` may have something else. */
  differenceFrom(from: ViewPlan): readonly string[] {
    const [{ shared, own }, before] = [this.#layers, from.#layers];
    const keys = shared.differing(before.shared);
    if (own === before.own) return keys;
    const owned = [...own.keys(), ...before.own.keys()].filter((key) => this.#at(key) !== from.#at(key));
    return [...new Set([...keys, ...owned])];
  }

  /** This plan, of which nothing is a runtime's own, for one that has these otherwise. */
  withOwn(own: Own): ViewPlan {
    return new ViewPlan({ ...this.#layers, own }, this.#part, this);
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
    const { own, shared } = this.#layers;
    return own.has(key) ? own.get(key) : shared.get(key);
  }

  #of(entry: Entry | undefined): Versioned | undefined {
    return this.#part === 'All' || entry?.isSent === true ? entry?.resource : undefined;
  }

  #all(): Map<string, Versioned> {
    if (this.#known !== undefined) return this.#known;
    const { own, shared } = this.#layers;
    const all: [string, Versioned][] = [];
    const add = (key: string, resource: Versioned | undefined): void => {
      if (resource !== undefined) all.push([key, resource]);
    };
    if (this.#base === undefined) for (const [key, entry] of shared) add(key, this.#of(entry));
    else for (const [key, resource] of this.#base) if (!own.has(key)) add(key, resource);
    for (const [key, entry] of own) add(key, this.#of(entry));
    const sorted = new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
    // Every runtime that joins goes through what all of them are sent, every one that is held or cordoned through all.
    if (own.size === 0) this.#known = sorted;
    return sorted;
  }
}
