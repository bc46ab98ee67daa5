import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { type KubeObject, keyOfObject } from '../client/object.ts';
import { CacheIndex, type IndexFunctions } from './cache-index.ts';
import { type Health, Liveness, type LivenessLimits } from './cache-liveness.ts';

/** What happened to one object. `before` is what the cache held until now. */
export type Change<T> =
  | { readonly type: 'added'; readonly key: string; readonly object: T }
  | { readonly type: 'updated'; readonly key: string; readonly object: T; readonly before: T }
  | { readonly type: 'deleted'; readonly key: string; readonly object: T };

/**
 * The objects of one collection of the API server, as its reflector saw them last.
 *
 * Guarantees
 * - What is read belongs together: the state of the collection at `resourceVersion`.
 * - It never goes backwards: neither `resourceVersion` nor an object.
 * - An object is the same reference for as long as its resourceVersion is the same, also across lists.
 * - A failure removes nothing; `health` tells of it.
 * - Each deletion is told exactly once, also one that happened unwatched; so is a deletion and a creation under one key.
 *
 * Caveat: lists are in no particular order.
 */
export type Cache<T> = {
  readonly get: (key: string) => T | undefined;
  readonly list: () => readonly T[];
  /** Those for which the index function `index` gave `value`. @throws RangeError for an index that does not exist */
  readonly by: (index: string, value: string) => readonly T[];
  readonly size: number;
  /** True once a whole list was taken over; stays true. */
  readonly hasSynced: boolean;
  /** How far the collection was seen: version of the last list, event or bookmark. 0 before the first list. */
  readonly resourceVersion: bigint;
  /**
   * The version of the last change that the objects here show: of the last event, or of the last list that had changes.
   * Bookmarks do not move it. 0 before the first list.
   */
  readonly changeVersion: bigint;
  readonly health: () => Health;
  /** Why only a new process can mend it, once that is so for longer than a server takes to start; else undefined. */
  readonly lost: () => string | undefined;
  /** Called after the cache has the change; after a list, after it has all of them. The result ends it. */
  readonly onChange: (listener: (change: Change<T>) => void) => () => void;
  /** Called when the version moved on without a change that tells so: by a bookmark, and at the end of a list. */
  readonly onProgress: (listener: (resourceVersion: bigint) => void) => () => void;
};

export type CacheOptions<T> = {
  readonly clock: Clock;
  readonly logger: Log;
  /**
   * The form in which an object is kept; called once per version of it. `raw` has neither managedFields nor what kubectl applied last. It must not throw:
   * what is wrong with an object belongs into T. If it does, the object keeps its earlier form, or stays out.
   */
  readonly project: (raw: KubeObject) => T;
  readonly indexes: IndexFunctions<T>;
  readonly limits?: Partial<LivenessLimits>;
};

/** An object with what orders it. */
type Entry<T> = { readonly uid: string; readonly version: bigint; readonly object: T };

/** @throws SyntaxError when it is not a number; the API server gives numbers since Kubernetes 1.35 by contract */
export const versionOf = (resourceVersion: string): bigint => BigInt(resourceVersion);

/** A cache and the side from which a reflector fills it. */
export class ObjectCache<T> implements Cache<T> {
  readonly #options: CacheOptions<T>;
  readonly #liveness: Liveness;
  readonly #index: CacheIndex<T>;
  readonly #changeListeners = new Set<(change: Change<T>) => void>();
  readonly #progressListeners = new Set<(resourceVersion: bigint) => void>();
  #entries = new Map<string, Entry<T>>();
  /** The list that is being read. */
  #staged: Map<string, Entry<T>> | undefined;
  #hasSynced = false;
  #resourceVersion = 0n;
  #changeVersion = 0n;

  constructor(options: CacheOptions<T>) {
    this.#options = options;
    this.#liveness = new Liveness(options.clock, options.limits);
    this.#index = new CacheIndex(options.indexes);
  }

  get size(): number {
    return this.#entries.size;
  }
  get hasSynced(): boolean {
    return this.#hasSynced;
  }
  get resourceVersion(): bigint {
    return this.#resourceVersion;
  }
  get changeVersion(): bigint {
    return this.#changeVersion;
  }
  readonly get = (key: string): T | undefined => this.#entries.get(key)?.object;
  readonly list = (): readonly T[] => [...this.#entries.values()].map(({ object }) => object);
  readonly by = (index: string, value: string): readonly T[] => this.#index.by(index, value);
  readonly health = (): Health => this.#liveness.health();
  readonly lost = (): string | undefined => this.#liveness.lost();
  readonly onChange = (listener: (change: Change<T>) => void) => subscribe(this.#changeListeners, listener);
  readonly onProgress = (listener: (resourceVersion: bigint) => void) =>
    subscribe(this.#progressListeners, listener);

  /** A list begins; what was staged of another is dropped. */
  beginList(): void {
    this.#staged = new Map();
  }

  /** A page of the list. Objects that are known in this version are not projected again. */
  stage(objects: readonly KubeObject[]): void {
    const staged = (this.#staged ??= new Map());
    for (const raw of objects) {
      const key = keyOfObject(raw);
      const entry = this.#entryOf(key, raw);
      if (entry !== undefined) staged.set(key, entry);
    }
    this.#liveness.heard();
  }

  /** The list is whole: it becomes what the cache holds. Only for a version that is not behind the cache's. */
  commitList(version: bigint): void {
    const after = this.#staged ?? new Map<string, Entry<T>>();
    const before = this.#entries;
    this.#staged = undefined;
    this.#entries = after;
    const isFirst = !this.#hasSynced;
    this.#hasSynced = true;
    this.#resourceVersion = version;
    this.#liveness.synced();
    const changes: Change<T>[] = [];
    for (const [key, { uid, object }] of before) {
      if (after.get(key)?.uid !== uid) changes.push({ type: 'deleted', key, object });
    }
    for (const [key, entry] of after) {
      const known = before.get(key);
      if (entry === known) continue;
      changes.push(changeTo(key, entry.object, known?.uid === entry.uid ? known.object : undefined));
    }
    // The first list may show deletions, too, by what is not in it.
    if (isFirst) this.#changeVersion = version;
    this.#tell(changes);
    this.#progressed();
  }

  /** An object as an event has it. What is not newer than the cache is a repetition, and ignored. */
  put(raw: KubeObject): void {
    const key = keyOfObject(raw);
    const known = this.#entries.get(key);
    if (!this.#isNews(raw, known)) return;
    const entry = this.#entryOf(key, raw);
    if (entry === undefined || entry === known) {
      this.#progressed();
      return;
    }
    this.#entries.set(key, entry);
    if (known === undefined || known.uid === entry.uid) {
      this.#tell([changeTo(key, entry.object, known?.object)]);
      return;
    }
    // Another object under the same name: the deletion of the first one was not seen.
    this.#tell([{ type: 'deleted', key, object: known.object }, changeTo(key, entry.object, undefined)]);
  }

  /** An object is gone, as an event has it; its version is that of the deletion. */
  remove(raw: KubeObject): void {
    const key = keyOfObject(raw);
    const known = this.#entries.get(key);
    if (!this.#isNews(raw, known)) return;
    if (known === undefined) {
      this.#progressed();
      return;
    }
    this.#entries.delete(key);
    this.#tell([{ type: 'deleted', key, object: known.object }]);
  }

  /** A bookmark: everything up to this version was seen. */
  progress(version: bigint): void {
    this.#liveness.heard();
    if (version <= this.#resourceVersion) return;
    this.#resourceVersion = version;
    this.#progressed();
  }

  /** The API server accepts the watch. */
  watching(): void {
    this.#liveness.recovered();
  }
  failed(reason: string): void {
    this.#liveness.failed(reason);
  }
  /** No further try mends it. */
  failedForGood(reason: string): void {
    this.#liveness.failedForGood(reason);
  }

  /** The entry for an object, the known one where the version is the same; undefined where there is none. */
  #entryOf(key: string, raw: KubeObject): Entry<T> | undefined {
    const known = this.#entries.get(key);
    const version = versionOf(raw.metadata.resourceVersion);
    const { uid } = raw.metadata;
    if (known !== undefined && known.version === version && known.uid === uid) return known;
    try {
      return { uid, version, object: this.#options.project(raw) };
    } catch (error) {
      this.#options.logger.error({ err: error, key }, 'an object could not be projected');
      return known;
    }
  }

  /** Moves the version on to that of an event; false where the event is older than what is held. */
  #isNews(raw: KubeObject, known: Entry<T> | undefined): boolean {
    this.#liveness.heard();
    const version = versionOf(raw.metadata.resourceVersion);
    if (version <= this.#resourceVersion) return false;
    this.#resourceVersion = version;
    // Pages of one list may be of different ages; then watching from the first page's repeats what the others had.
    return known === undefined || known.version < version;
  }

  #tell(changes: readonly Change<T>[]): void {
    if (changes.length > 0) this.#changeVersion = this.#resourceVersion;
    for (const change of changes) {
      if (change.type === 'updated') this.#index.remove(change.key, change.before);
      if (change.type === 'deleted') this.#index.remove(change.key, change.object);
      else this.#index.add(change.key, change.object);
    }
    for (const change of changes) this.#call(this.#changeListeners, change);
  }
  #progressed(): void {
    this.#call(this.#progressListeners, this.#resourceVersion);
  }

  /** A listener that throws neither holds up the others nor the reflector. */
  #call<V>(listeners: ReadonlySet<(value: V) => void>, value: V): void {
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        this.#options.logger.error({ err: error }, 'a listener of a cache failed');
      }
    }
  }
}

const changeTo = <T>(key: string, object: T, before: T | undefined): Change<T> =>
  before === undefined ? { type: 'added', key, object } : { type: 'updated', key, object, before };

const subscribe = <L>(listeners: Set<L>, listener: L): (() => void) => {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
};
