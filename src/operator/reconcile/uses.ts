import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { adaptersNamedBy } from '../../plan/mentions.ts';
import type { Collection, Read } from '../objects/objects.ts';

/** Keeps an Adapter object while a rollout uses it, so that a prune cannot pull stable away. */
export const inUseFinalizer = 'adaptlet.io/in-use';

/** How a rollout uses an Adapter. */
export type Use = {
  readonly rollout: ObjectKey;
  readonly as: 'stable' | 'canary' | 'history' | 'spec.adapter';
};

/**
 * Which rollouts use which Adapters, kept up with the cache.
 *
 * Guarantees: a rollout that cannot be read any more counts as it was last read; one that never could makes its
 * namespace `uncertain`, in which nothing may be said to be unused.
 */
export class Uses {
  readonly #rollouts: Collection<RolloutObject>;
  readonly #namesOf = new Map<ObjectKey, ReadonlySet<ObjectKey>>();
  readonly #usersOf = new Map<ObjectKey, Set<ObjectKey>>();
  /** The last readable form of rollouts that are not readable now. */
  readonly #former = new Map<ObjectKey, RolloutObject>();
  readonly #unreadable = new Map<string, Set<ObjectKey>>();
  readonly #stop: () => void;

  constructor(rollouts: Collection<RolloutObject>) {
    this.#rollouts = rollouts;
    this.#stop = rollouts.onChange(({ type, key, object, before }) => {
      if (type === 'deleted') this.#remove(key, object.metadata.namespace ?? '');
      else this.#set(object, before);
    });
    for (const read of rollouts.list()) this.#set(read, undefined);
  }

  close(): void {
    this.#stop();
  }

  /** Adapters that a rollout names. */
  adapters(): Iterable<ObjectKey> {
    return this.#usersOf.keys();
  }

  /** Rollouts that name the Adapter. */
  rolloutsOf(adapter: ObjectKey): Iterable<ObjectKey> {
    return this.#usersOf.get(adapter) ?? [];
  }

  /** Every use of one Adapter object: by its uid in a status, by its name in a spec. In the order of the rollouts' keys. */
  of(adapter: ObjectKey, uid: string): Use[] {
    return [...this.rolloutsOf(adapter)].sort().flatMap((rollout): Use[] => {
      const object = this.#rollouts.get(rollout)?.object ?? this.#former.get(rollout);
      if (object === undefined) return [];
      const { metadata, spec, status } = object;
      const isBound = (as: Use['as'], found: boolean): Use[] => (found ? [{ rollout, as }] : []);
      return [
        ...isBound('stable', status?.stable?.uid === uid),
        ...isBound('canary', status?.canary?.uid === uid),
        ...isBound('history', status?.history.some((bound) => bound.uid === uid) === true),
        ...isBound('spec.adapter', objectKey(metadata.namespace, spec.adapter) === adapter),
      ];
    });
  }

  /** True while a rollout of the namespace was never readable: it may use anything there. */
  uncertain(namespace: string): boolean {
    const unreadable = this.#unreadable.get(namespace) ?? new Set();
    return [...unreadable].some((key) => !this.#former.has(key));
  }

  #set(read: Read<RolloutObject>, before: Read<RolloutObject> | undefined): void {
    const namespace = read.metadata.namespace ?? '';
    if (read.object === undefined) {
      const unreadable = this.#unreadable.get(namespace) ?? new Set();
      this.#unreadable.set(namespace, unreadable.add(read.key));
      const isSame = before?.metadata.uid === read.metadata.uid;
      if (isSame && before.object !== undefined) this.#former.set(read.key, before.object);
      return;
    }
    this.#readable(read.key, namespace);
    this.#index(read.key, adaptersNamedBy(read.object));
  }

  #remove(key: ObjectKey, namespace: string): void {
    this.#readable(key, namespace);
    this.#index(key, new Set());
    this.#namesOf.delete(key);
  }

  #readable(key: ObjectKey, namespace: string): void {
    this.#former.delete(key);
    this.#unreadable.get(namespace)?.delete(key);
  }

  #index(key: ObjectKey, names: ReadonlySet<ObjectKey>): void {
    for (const name of this.#namesOf.get(key) ?? []) {
      const users = this.#usersOf.get(name);
      users?.delete(key);
      if (users?.size === 0) this.#usersOf.delete(name);
    }
    for (const name of names) {
      const users = this.#usersOf.get(name) ?? new Set<ObjectKey>();
      this.#usersOf.set(name, users.add(key));
    }
    this.#namesOf.set(key, names);
  }
}
