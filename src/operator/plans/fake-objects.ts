import type { ObjectKey } from '../../api/names.ts';
import type {
  AdapterObject,
  AnalysisObject,
  Meta,
  PolicyObject,
  RolloutObject,
  RouteObject,
} from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import type { Revision } from '../../control/revision.ts';
import type { KubeMetadata } from '../../kube/client/object.ts';
import type { Collection, ObjectChange, Objects, Read, RuntimeObject } from '../objects/objects.ts';

type Any = AdapterObject | RolloutObject | RouteObject | PolicyObject | RuntimeObject;

/** A collection of plain objects, for tests. */
class FakeObjectsOf<T extends { readonly metadata: Meta }> implements Collection<T> {
  readonly reads = new Map<ObjectKey, Read<T>>();
  readonly #listeners = new Set<(change: ObjectChange<T>) => void>();
  readonly #next: () => string;
  constructor(next: () => string) {
    this.#next = next;
  }
  get(key: ObjectKey): Read<T> | undefined {
    return this.reads.get(key);
  }
  list(): Iterable<Read<T>> {
    return this.reads.values();
  }
  onChange(listener: (change: ObjectChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
  /** `valid: false`: the object is there and cannot be read. */
  put(object: T, valid = true): void {
    const resourceVersion = this.#next();
    const key = keyOf(object);
    const before = this.reads.get(key);
    // As the API server does.
    const isOtherSpec = before !== undefined && specOf(before.object) !== specOf(object);
    const generation = (before?.metadata.generation ?? 0) + Number(before === undefined || isOtherSpec);
    const base = { key, resourceVersion, metadata: { ...object.metadata, resourceVersion, generation } };
    const read: Read<T> = valid
      ? { ...base, object, problems: [] }
      : { ...base, problems: [{ path: ['spec'], reason: 'spec: must be a map of fields' }] };
    this.reads.set(key, read);
    this.#tell({ type: before === undefined ? 'added' : 'updated', key, object: read, before });
  }
  delete(key: ObjectKey): void {
    const read = this.reads.get(key);
    if (read === undefined) return;
    this.#next();
    this.reads.delete(key);
    this.#tell({ type: 'deleted', key, object: read });
  }
  #tell(change: ObjectChange<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const specOf = (object: object | undefined): string =>
  JSON.stringify(object !== undefined && 'spec' in object ? object.spec : undefined);

/** What a replica sees of the API server, by hand. Every write moves the revision of its kind on. */
export class FakeObjects implements Objects {
  /** How often somebody could not wait for what the collections say by themselves. */
  caughtUp = 0;
  version = 0n;
  readonly #seen = { adapters: 0n, rollouts: 0n, routes: 0n, runtimes: 0n, policies: 0n };
  readonly #changed = { ...this.#seen };
  readonly #listeners = new Set<() => void>();
  state: { ok: boolean; reason: string } = { ok: true, reason: '' };
  readonly adapters = this.#collection<AdapterObject>('adapters');
  readonly rollouts = this.#collection<RolloutObject>('rollouts');
  readonly routes = this.#collection<RouteObject>('routes');
  readonly policies = this.#collection<PolicyObject>('policies');
  readonly runtimes = this.#collection<RuntimeObject>('runtimes');
  readonly analyses = new FakeObjectsOf<AnalysisObject>(() => '1');

  revision(): Revision {
    return { ...this.#changed };
  }
  catchUp(): void {
    this.caughtUp++;
  }
  seen(): Revision {
    return { ...this.#seen };
  }
  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
  health(): { ok: boolean; reason: string } {
    return this.state;
  }
  /** As a bookmark does. */
  progress(revision: Partial<Revision>): void {
    Object.assign(this.#seen, revision);
    for (const version of Object.values(this.#seen)) if (version > this.version) this.version = version;
    for (const listener of this.#listeners) listener();
  }
  runtime(
    namespace: string,
    name: string,
    labels: Record<string, string> = {},
    annotations: Record<string, string> = {},
    ownerReferences: KubeMetadata['ownerReferences'] = [],
    spec: RuntimeObject['spec'] = {},
  ): void {
    const metadata: Meta & Pick<KubeMetadata, 'ownerReferences'> = {
      namespace,
      name,
      labels,
      annotations,
      uid: `runtime-${name}`,
      generation: 1,
      ownerReferences,
      creationTimestamp: '2026-01-01T00:00:00Z',
    };
    this.runtimes.put({ kind: 'AdapterRuntime', metadata, spec });
  }
  #collection<T extends Any>(part: keyof Revision): FakeObjectsOf<T> {
    return new FakeObjectsOf<T>(() => {
      this.version += 1n;
      this.#seen[part] = this.version;
      this.#changed[part] = this.version;
      // After the change was told, as informers do.
      queueMicrotask(() => {
        for (const listener of this.#listeners) listener();
      });
      return String(this.version);
    });
  }
}
