import { isDeepStrictEqual } from 'node:util';
import { adapterStatusSchema } from '../../api/adapter-status.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type {
  AdapterObject,
  AnalysisObject,
  PolicyObject,
  RolloutObject,
  RouteObject,
  UserObject,
} from '../../api/objects.ts';
import type { FieldProblem } from '../../api/problems.ts';
import { rolloutStatusSchema } from '../../api/rollout-status.ts';
import { routeStatusSchema } from '../../api/route-status.ts';
import { runtimeStatusSchema } from '../../api/runtime.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeMetadata } from '../../kube/client/object.ts';
import type { Collection, ObjectChange, Read, RuntimeObject } from '../objects/objects.ts';
import type { Caches, OperatorEvent, StatusWriter, Version } from '../reconcile/controller.ts';

type Any = UserObject | RuntimeObject;

/** A collection at the API server, and what the cache shows of it. */
export class FakeCollection<T extends Any> implements Collection<T> {
  readonly server = new Map<ObjectKey, Read<T>>();
  readonly #cache = new Map<ObjectKey, Read<T>>();
  readonly #listeners = new Set<(change: ObjectChange<T>) => void>();
  readonly #behind = new Set<ObjectKey>();
  /** While true the cache does not move. */
  lags = false;

  get(key: ObjectKey): Read<T> | undefined {
    return this.#cache.get(key);
  }
  list(): Iterable<Read<T>> {
    return this.#cache.values();
  }
  onChange(listener: (change: ObjectChange<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  set(key: ObjectKey, read: Read<T> | undefined): void {
    if (read === undefined) this.server.delete(key);
    else this.server.set(key, read);
    this.#behind.add(key);
    if (!this.lags) this.catchUp();
  }
  catchUp(): void {
    this.lags = false;
    for (const key of this.#behind) {
      this.#behind.delete(key);
      const object = this.server.get(key);
      const before = this.#cache.get(key);
      if (object === undefined) {
        this.#cache.delete(key);
        if (before !== undefined) this.#tell({ type: 'deleted', key, object: before });
        continue;
      }
      this.#cache.set(key, object);
      this.#tell({ type: before === undefined ? 'added' : 'updated', key, object, before });
    }
  }
  #tell(change: ObjectChange<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const statusSchemas = {
  Adapter: adapterStatusSchema,
  AdapterRollout: rolloutStatusSchema,
  AdapterRoute: routeStatusSchema,
  AdapterRuntime: runtimeStatusSchema,
};

type Write = { readonly of: Version; readonly status?: object; readonly finalizers?: readonly string[] };

/** For tests of controllers: objects with versions, conditional writes that are checked against the schemas, events. */
export class FakeCluster implements Caches {
  readonly adapters = new FakeCollection<AdapterObject>();
  readonly rollouts = new FakeCollection<RolloutObject>();
  readonly routes = new FakeCollection<RouteObject>();
  readonly policies = new FakeCollection<PolicyObject>();
  readonly runtimes = new FakeCollection<RuntimeObject>();
  readonly analyses = new FakeCollection<AnalysisObject>();
  readonly writes: Write[] = [];
  readonly events: OperatorEvent[] = [];
  /** Fields of a status that the CRDs do not have: they are dropped, as the API server does it. */
  readonly unknownFields = new Set<string>();
  /** Thrown by the next writes, one each. */
  readonly failures: Error[] = [];
  #version = 100;

  readonly recorder = { record: (event: OperatorEvent) => void this.events.push(event) };

  /** Creates or replaces an object; its metadata and status are taken as they are. */
  apply(object: Any, more: Partial<KubeMetadata> = {}, problems: readonly FieldProblem[] = []): ObjectKey {
    const key = objectKey(object.metadata.namespace, object.metadata.name);
    const before = this.#of(object.kind).server.get(key)?.metadata;
    const resourceVersion = String(++this.#version);
    const metadata: KubeMetadata = {
      ...(before?.uid === object.metadata.uid ? before : {}),
      ...object.metadata,
      ...more,
      resourceVersion,
    };
    const read = { key, resourceVersion, metadata, problems };
    const meta = {
      ...object.metadata,
      annotations: metadata.annotations ?? {},
      labels: metadata.labels ?? {},
    };
    this.#of(object.kind).set(
      key,
      problems.length > 0 ? read : { ...read, object: { ...object, metadata: meta } },
    );
    return key;
  }

  remove(kind: Any['kind'], key: ObjectKey): void {
    this.#of(kind).set(key, undefined);
  }

  readonly writer: StatusWriter = {
    replaceStatus: async (of, status) => {
      const known = JSON.parse(
        JSON.stringify(status, (field, value) => (this.unknownFields.has(field) ? undefined : value)),
      );
      return this.#write({ of, status }, (object) => ({ ...object, status: known }));
    },
    mergeStatus: async (of, status) => this.#write({ of, status }, (object) => object),
    setFinalizers: async (of, finalizers) => this.#write({ of, finalizers }, (object) => object),
  };

  #write(write: Write, change: (object: Any) => object): boolean {
    const { of, status, finalizers } = write;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const key = objectKey(of.namespace, of.name);
    const collection = this.#of(of.kind);
    const found = collection.server.get(key);
    if (found === undefined) throw new AdaptletError('KUBE_NOT_FOUND', `${key} is not there`);
    if (found.resourceVersion !== of.resourceVersion) {
      throw new AdaptletError('KUBE_CONFLICT', `${key} is at ${found.resourceVersion}`);
    }
    if (status !== undefined) statusSchemas[of.kind].partial().parse(JSON.parse(JSON.stringify(status)));
    this.writes.push(write);
    const changed = found.object && (change(found.object) as Any);
    if (status !== undefined && changed !== undefined && isDeepStrictEqual(changed, found.object))
      return false;
    const resourceVersion = String(++this.#version);
    const metadata = {
      ...found.metadata,
      resourceVersion,
      ...(finalizers === undefined ? {} : { finalizers }),
    };
    const object = changed === undefined ? {} : { object: changed };
    collection.set(key, { ...found, resourceVersion, metadata, ...object });
    return true;
  }

  #of(kind: Any['kind']): FakeCollection<Any> {
    const collections = {
      Adapter: this.adapters,
      AdapterRollout: this.rollouts,
      AdapterRoute: this.routes,
      AdapterPolicy: this.policies,
      AdapterRuntime: this.runtimes,
      AdapterAnalysis: this.analyses,
    };
    // Each collection holds one kind; the fake does not tell them apart.
    return collections[kind] as unknown as FakeCollection<Any>;
  }
}
