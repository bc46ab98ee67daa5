import { namespaceOf, type ObjectKey } from '../api/names.ts';
import type { AdapterObject, Manifest, PolicyObject } from '../api/objects.ts';
import { clientNameOf, keyOf } from '../api/references.ts';
import { adaptersNamedBy } from './mentions.ts';
import { byAge } from './names.ts';
import { type PolicyOf, refusedAdapters, sourceRefusal } from './policies.ts';
import type { KeysResource, Versioned } from './resources.ts';
import { isUnsigned } from './split.ts';

type Kind = Manifest['kind'];

const types = {
  Adapter: 'AdapterSpec',
  AdapterRollout: 'Split',
  AdapterRoute: 'Route',
  AdapterPolicy: 'Policy',
} as const satisfies Record<Kind, string>;

/** Key of the resource that an object of that kind and key becomes. */
export const resourceKeyOf = (kind: Kind, key: ObjectKey): string => `${types[kind]} ${key}`;

/** The object's part of a resource key. */
export const objectKeyIn = (key: string): ObjectKey => key.slice(key.indexOf(' ') + 1) as ObjectKey;

export type ObjectIndexParts = {
  /** The policy that holds for a namespace now. */
  readonly policyOf: PolicyOf;
  /** Told each resource key at which plans may have something else than before. */
  readonly touched: (key: string) => void;
  /** Whether anybody has to be told: who depends on what is looked for only then. */
  readonly isWatched: () => boolean;
  /** What keys for tokens of sessions are made of; it does not change. Absent: there are no tokens. */
  readonly sessionSecret?: string | undefined;
};

/**
 * The objects that plans are compiled from, and what of a plan depends on each: kept up one object at a time, so that a
 * change costs what it touches.
 */
export class ObjectIndex {
  readonly #parts: ObjectIndexParts;
  /** By resource key. */
  readonly #objects = new Map<string, Manifest>();
  /** Keys of callers out of Secrets, by resource key. */
  readonly #secretKeys = new Map<string, Versioned<KeysResource>>();
  /** Resource keys. */
  readonly #keysIn = new Map<string, Set<string>>();
  readonly #adaptersIn = new Map<string, Map<ObjectKey, AdapterObject>>();
  /** Resource keys of the rollouts and routes that name an adapter. */
  readonly #users = new Map<ObjectKey, Set<string>>();
  /** Who wants the name `namespace/name` for clients. */
  readonly #claimants = new Map<string, Set<string>>();
  /** Of namespaces with more adapters than count there: those that do not. */
  readonly #beyond = new Map<string, Set<ObjectKey>>();

  constructor(parts: ObjectIndexParts) {
    this.#parts = parts;
  }

  get(key: string): Manifest | undefined {
    return this.#objects.get(key);
  }

  /** Whether there is something that is compiled to this resource. */
  has(key: string): boolean {
    return this.#objects.has(key) || this.#secretKeys.has(key);
  }

  /** The policy that holds for a namespace now. */
  policyOf(namespace: string): PolicyObject | undefined {
    return this.#parts.policyOf(namespace);
  }

  get sessionSecret(): string | undefined {
    return this.#parts.sessionSecret;
  }

  /** Keys of callers out of Secrets. */
  keysOf(key: string): Versioned<KeysResource> | undefined {
    return this.#secretKeys.get(key);
  }

  /** They are those now; undefined: there are none. */
  setKeys(key: string, keys: Versioned<KeysResource> | undefined): void {
    if (keys === undefined) this.#secretKeys.delete(key);
    else this.#secretKeys.set(key, keys);
    enlist(this.#keysIn, namespaceOf(objectKeyIn(key)), key, keys !== undefined);
    this.#parts.touched(key);
  }

  adapter(key: ObjectKey): AdapterObject | undefined {
    return this.#adaptersIn.get(namespaceOf(key))?.get(key);
  }

  /** Resource keys of a namespace, or of all. */
  keysIn(namespace: string | undefined): Iterable<string> {
    if (namespace !== undefined) return this.#keysIn.get(namespace) ?? [];
    return [...this.#objects.keys(), ...this.#secretKeys.keys()];
  }

  /** Rollouts and routes that name the adapter. */
  *usersOf(adapter: ObjectKey): Generator<Manifest> {
    for (const key of this.#users.get(adapter) ?? []) {
      const user = this.#objects.get(key);
      if (user !== undefined) yield user;
    }
  }

  /** Whether clients get that object by its name: no older one of the namespace has it. */
  hasItsName(object: Manifest): boolean {
    for (const key of this.#claimants.get(claimOf(object)) ?? []) {
      const other = this.#objects.get(key);
      if (other !== undefined && other !== object && byAge(other, object) < 0) return false;
    }
    return true;
  }

  /** Whether the policy of its namespace keeps an adapter out of plans. */
  isKeptOut(adapter: AdapterObject): boolean {
    const { namespace } = adapter.metadata;
    const policy = this.#parts.policyOf(namespace);
    if (policy === undefined) return false;
    return sourceRefusal(adapter, policy) !== undefined || this.#beyondIn(namespace).has(keyOf(adapter));
  }

  /** The object is another one, of which plans depend on nothing that changed. */
  refresh(kind: Kind, key: ObjectKey, object: Manifest): void {
    const id = resourceKeyOf(kind, key);
    this.#objects.set(id, object);
    if (object.kind === 'Adapter') this.#adaptersIn.get(namespaceOf(key))?.set(key, object);
  }

  /** The object is that now; undefined: there is none that is valid. */
  set(kind: Kind, key: ObjectKey, object: Manifest | undefined): void {
    const id = resourceKeyOf(kind, key);
    const namespace = namespaceOf(key);
    const before = this.#objects.get(id);
    const isWatched = this.#parts.isWatched();
    const seenAs = isWatched ? this.#seenAs(before) : undefined;
    if (object === undefined) this.#objects.delete(id);
    else this.#objects.set(id, object);
    enlist(this.#keysIn, namespace, id, object !== undefined);
    for (const adapter of adaptersNamedBy(before)) enlist(this.#users, adapter, id, false);
    for (const adapter of adaptersNamedBy(object)) enlist(this.#users, adapter, id, true);
    if (kind === 'Adapter') this.#setAdapter(namespace, key, object);
    this.#claim(id, before, object);
    if (!isWatched) return;
    this.#touch(id, before);
    this.#touch(id, object);
    // What a rollout gives of an adapter depends on which base model that is for.
    if (kind === 'Adapter' && this.#seenAs(object) !== seenAs) this.#touchUsers(key);
  }

  /** Another policy may hold for these namespaces. */
  policiesChanged(isBound: (namespace: string) => boolean): void {
    for (const [namespace, keys] of this.#keysIn) {
      if (!isBound(namespace)) continue;
      this.#beyond.delete(namespace);
      for (const key of keys) this.#parts.touched(key);
    }
  }

  #touch(id: string, object: Manifest | undefined): void {
    this.#parts.touched(id);
    for (const adapter of adaptersNamedBy(object)) this.#parts.touched(resourceKeyOf('Adapter', adapter));
  }

  #touchAdapter(key: ObjectKey): void {
    this.#parts.touched(resourceKeyOf('Adapter', key));
    this.#touchUsers(key);
  }

  #touchUsers(key: ObjectKey): void {
    for (const user of this.#users.get(key) ?? []) if (user.startsWith('Split ')) this.#parts.touched(user);
  }

  /** What rollouts see of an adapter. */
  #seenAs(object: Manifest | undefined): string | undefined {
    if (object?.kind !== 'Adapter' || this.isKeptOut(object)) return undefined;
    const policy = this.#parts.policyOf(object.metadata.namespace);
    return `${object.spec.baseModel} ${isUnsigned(object, policy)}`;
  }

  #setAdapter(namespace: string, key: ObjectKey, object: Manifest | undefined): void {
    const adapters = this.#adaptersIn.get(namespace) ?? new Map<ObjectKey, AdapterObject>();
    const former = adapters.get(key);
    const known = this.#beyond.get(namespace);
    const isApart = known !== undefined && this.#isApart(key, object, { former, adapters, beyond: known });
    const isSame = former !== undefined && isSameSpec(former, object);
    const isCompared = this.#parts.isWatched() && !isApart && !isSame;
    const before = isCompared ? this.#beyondIn(namespace) : none;
    if (object?.kind === 'Adapter') adapters.set(key, object);
    else adapters.delete(key);
    if (adapters.size === 0) this.#adaptersIn.delete(namespace);
    else this.#adaptersIn.set(namespace, adapters);
    if (isSame) return;
    if (isApart) {
      if (object === undefined) known.delete(key);
      else known.add(key);
      return;
    }
    this.#beyond.delete(namespace);
    if (!isCompared) return;
    const now = this.#beyondIn(namespace);
    for (const other of new Set([...before, ...now]))
      if (before.has(other) !== now.has(other)) this.#touchAdapter(other);
  }

  /** Whether an adapter that comes or goes does not count and changes nothing of which others do. */
  #isApart(key: ObjectKey, object: Manifest | undefined, { former, adapters, beyond }: Counted): boolean {
    if (object === undefined) return beyond.has(key);
    if (former !== undefined || object.kind !== 'Adapter') return false;
    const policy = this.#parts.policyOf(object.metadata.namespace);
    if (sourceRefusal(object, policy) !== undefined) return true;
    const { adapters: limit = Number.POSITIVE_INFINITY } = policy?.spec.limits ?? {};
    if (adapters.size - beyond.size < limit) return false;
    for (const [other, adapter] of adapters)
      if (!beyond.has(other) && byAge(adapter, object) > 0) return false;
    return true;
  }

  /** Adapters of a namespace that are younger than the oldest ones that its policy lets count. */
  #beyondIn(namespace: string): ReadonlySet<ObjectKey> {
    const policy = this.#parts.policyOf(namespace);
    const adapters = this.#adaptersIn.get(namespace);
    const { adapters: limit = Number.POSITIVE_INFINITY } = policy?.spec.limits ?? {};
    // Who counts has to be looked at only where there are too many.
    if (adapters === undefined || adapters.size <= limit) return none;
    let beyond = this.#beyond.get(namespace);
    if (beyond === undefined) {
      beyond = new Set(refusedAdapters(adapters.values(), this.#parts.policyOf).keys());
      this.#beyond.set(namespace, beyond);
    }
    return beyond;
  }

  #claim(id: string, before: Manifest | undefined, object: Manifest | undefined): void {
    const claims = [before, object].filter(isCalled).map(claimOf);
    if (isCalled(before)) enlist(this.#claimants, claimOf(before), id, false);
    if (isCalled(object)) enlist(this.#claimants, claimOf(object), id, true);
    const [one, other = one] = claims;
    if (one === other && before?.metadata.uid === object?.metadata.uid) return;
    for (const claim of new Set(claims))
      for (const claimant of this.#claimants.get(claim) ?? [])
        if (claimant !== id) this.#touch(claimant, this.#objects.get(claimant));
  }
}

const none: ReadonlySet<ObjectKey> = new Set();

type Counted = {
  readonly former: AdapterObject | undefined;
  readonly adapters: ReadonlyMap<ObjectKey, AdapterObject>;
  readonly beyond: ReadonlySet<ObjectKey>;
};

const isSameSpec = ({ metadata: { uid, generation } }: AdapterObject, now: Manifest | undefined): boolean =>
  now?.metadata.uid === uid && now.metadata.generation === generation;

/** Nobody calls a policy. */
const isCalled = (one: Manifest | undefined): one is Manifest =>
  one !== undefined && one.kind !== 'AdapterPolicy';

const claimOf = (object: Manifest): string => `${object.metadata.namespace}/${clientNameOf(object)}`;

const enlist = <K, V>(lists: Map<K, Set<V>>, key: K, value: V, isIn: boolean): void => {
  const list = lists.get(key) ?? new Set<V>();
  if (isIn) list.add(value);
  else list.delete(value);
  if (list.size === 0) lists.delete(key);
  else lists.set(key, list);
};
