import type { Manifest } from '../../api/objects.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Revision } from '../revision.ts';

export const collections = ['adapters', 'rollouts', 'routes'] as const;
export type CollectionName = (typeof collections)[number];

/** What is compiled for one runtime from one state. */
export type Compiled = { readonly plan: Plan; readonly withheld: ReadonlySet<string> };

type Entry = { readonly at: bigint; readonly objects: ReadonlyMap<string, Manifest | 'Invalid'> };

const types = { adapters: 'AdapterSpec', rollouts: 'Split', routes: 'Route' } as const;
const sites = ['factory', 'office'] as const;

/** An API server: every state of each collection that there ever was, by resourceVersion. */
export class ApiModel {
  #version = 1n;
  readonly #history: Record<CollectionName, Entry[]> = {
    adapters: [{ at: 0n, objects: new Map() }],
    rollouts: [{ at: 0n, objects: new Map() }],
    routes: [{ at: 0n, objects: new Map() }],
  };
  readonly #compiled = new Map<string, Compiled>();

  get newest(): Revision {
    const at = this.#version;
    return { adapters: at, rollouts: at, routes: at, runtimes: at, policies: at };
  }

  /** Something that no plan depends on was written. */
  bookmark(): void {
    this.#version += 1n;
  }

  write(collection: CollectionName, name: string, object: Manifest | 'Invalid' | undefined): void {
    const objects = new Map(this.#entry(collection, this.#version).objects);
    if (object === undefined) objects.delete(name);
    else objects.set(name, object);
    this.#push(collection, objects);
  }

  deleteAll(collection: CollectionName): void {
    this.#push(collection, new Map());
  }

  /** The version of the first event after `at`; undefined: there was none. */
  eventAfter(collection: CollectionName, at: bigint): bigint | undefined {
    return this.#history[collection].find((entry) => entry.at > at)?.at;
  }

  compiledAt(revision: Revision, runtime: number): Compiled {
    const entries = collections.map((collection) => this.#entry(collection, revision[collection]));
    const id = `${runtime % 2} ${entries.map((entry) => entry.at).join(' ')}`;
    let compiled = this.#compiled.get(id);
    if (compiled === undefined) {
      const objects = entries.flatMap((entry) => [...entry.objects.values()]);
      const manifests = objects.filter((object) => object !== 'Invalid');
      const labels = { site: sites[runtime % 2] ?? '' };
      const { plan } = compilePlan({ manifests, runtime: { baseModel: 'tiny', labels } });
      compiled = { plan, withheld: withheldOf(entries) };
      this.#compiled.set(id, compiled);
    }
    return compiled;
  }

  #entry(collection: CollectionName, at: bigint): Entry {
    const entry = this.#history[collection].findLast((one) => one.at <= at);
    if (entry === undefined) throw new Error(`nothing at ${at}`);
    return entry;
  }

  #push(collection: CollectionName, objects: Entry['objects']): void {
    this.#version += 1n;
    this.#history[collection].push({ at: this.#version, objects });
  }
}

const withheldOf = (entries: readonly Entry[]): ReadonlySet<string> =>
  new Set(
    collections.flatMap((collection, index) =>
      [...(entries[index]?.objects ?? [])]
        .filter(([, object]) => object === 'Invalid')
        .map(([name]) => `${types[collection]} team-a/${name}`),
    ),
  );

const adapterNames = ['a', 'b', 'c', 'd', 'e', 'f'];
const pick = <T>(list: readonly T[], n: number): T => {
  const item = list[n % list.length];
  if (item === undefined) throw new Error('an empty list has no item');
  return item;
};

/** Names of everything, for runtimes to ask for; the last one never is. */
export const clientNames = [...adapterNames, 'r0', 'm1', 'nothing'].map((name) => `team-a/${name}`);

/** Resources that a runtime of the model refuses: those for the model `bad`. */
export const refusedModel = 'bad';

/** Writes object number `n` of a collection in its variant `v`. */
export const writeVariant = (api: ApiModel, collection: CollectionName, n: number, v: number): void => {
  if (collection === 'adapters') {
    const name = pick(adapterNames, n);
    const tier = pick(['None', 'Memory', 'Disk', 'Memory'] as const, v);
    const preload = {
      tier,
      ...(v % 5 === 0 ? { runtimeSelector: { matchLabels: { site: 'office' } } } : {}),
    };
    api.write(collection, name, anAdapter({ name }, { preload, priority: v % 7 }));
  } else if (collection === 'rollouts') {
    const name = `r${n % 3}`;
    const canary = { ...bound(pick(adapterNames, v)), seed: '0123456789abcdef', attempt: 1 + (v % 2) };
    const weights = { canary: v % 101, stable: 100 - (v % 101) };
    const status = aStatus({
      stable: bound(pick(adapterNames, n + v)),
      weights,
      ...(v % 3 === 0 ? {} : { canary }),
    });
    api.write(
      collection,
      name,
      aRollout({ name }, { adapter: canary.adapter }, v % 11 === 0 ? undefined : status),
    );
  } else {
    const name = `t${n % 3}`;
    const model = v % 6 === 0 ? refusedModel : `m${n % 3}`;
    const targets = [{ adapter: pick(adapterNames, v), weight: 1 }];
    api.write(
      collection,
      name,
      aRoute(
        { name },
        { model, rules: [{ name: 'all', matches: [], targets, hashOn: 'User', fallback: [] }] },
      ),
    );
  }
};

export const nameOf = (collection: CollectionName, n: number): string =>
  collection === 'adapters' ? pick(adapterNames, n) : `${collection === 'rollouts' ? 'r' : 't'}${n % 3}`;
