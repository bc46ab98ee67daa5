import type { Digest, ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import { unlessAborted } from '../../time/unless-aborted.ts';
import type { Limit } from '../engine/engine.ts';
import { closing } from '../engine/failures.ts';
import type { AdapterView } from './adapter-view.ts';
import {
  Core,
  type RequirementFor,
  type ResidencyOptions,
  type SourceRefusal,
  type Transition,
} from './core.ts';
import { Desired } from './desired.ts';
import { Disk } from './disk.ts';
import { DiskRoom } from './disk-room.ts';
import type { DiskUses } from './disk-uses.ts';
import { EngineWatch } from './engine-watch.ts';
import type { Entry } from './entry.ts';
import { type Fit, fitOf, servesNow, viewOf, viewsOf } from './facts.ts';
import type { State } from './lifecycle.ts';
import { Loader } from './loader.ts';
import { Prefetch } from './prefetch.ts';
import type { PrefetchTier, PrefetchTotals } from './prefetch-tally.ts';
import { PrioritySemaphore } from './priority-semaphore.ts';
import { type MemoryUse, Ram } from './ram.ts';
import { Refetch } from './refetch.ts';
import { Removals } from './removals.ts';
import { type Lease, Requests, reasonOf, unknownAdapter } from './requests.ts';
import { Signatures } from './signatures.ts';
import { byUrgency } from './urgency.ts';
import { Work } from './work.ts';

export type { Lease } from './requests.ts';

/** An adapter of the plan, or one that no plan has. */
export type Expected = ObjectKey | Versioned<AdapterResource>;

/** How long `close` waits for what cannot be interrupted. */
const closeMs = 5_000;

type Usage = {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  /** Bytes on disk of the artifacts that adapters here have. */
  readonly storedBytes: number;
  /** Requests and preloads that wait for an adapter. */
  readonly waiting: number;
  /** Set once adapters that requests used at the same time did not fit into the budget. */
  readonly limit: Limit | undefined;
};

/**
 * Which adapters this runtime has, and where: from the source to the disk, into RAM and out of it.
 *
 * Guarantees: what a lease is held on stays in the engine until the lease is given back; nothing is leased that has
 * not passed its probe and smoke tests; the RAM budget is never exceeded; adapters do not wait for each other's
 * failures. Assumption: one residency per engine.
 */
export type Residency = {
  /**
   * The adapters of the plan, all of them. What is missing is drained and removed. What `sourceRefusal` speaks against is not
   * brought to this runtime; absent: every source may be used. `keptOnDisk`: whose artifacts stay as if a rollout
   * held them. What is not signed as `requirementFor` says does not serve, nor go on serving; absent: nothing has to be.
   */
  apply(
    resources: readonly Versioned<AdapterResource>[],
    sourceRefusal?: SourceRefusal,
    keptOnDisk?: ReadonlySet<ObjectKey>,
    requirementFor?: RequirementFor,
  ): void;
  /**
   * Registers an adapter that no plan has; the least recently used of them is dropped.
   * @throws QUEUE_FULL; ADAPTER_NOT_AVAILABLE where its source had nothing a moment ago
   */
  ensure(resource: Versioned<AdapterResource>): void;
  /**
   * These may be asked for soon, the likeliest first: they are brought nearer where nobody needs what that takes. Those that no plan
   * has are registered, as far as there are places.
   */
  expect(next: readonly Expected[]): void;
  /** What came of that, since this runtime started. */
  prefetched(): Readonly<Record<PrefetchTier, PrefetchTotals>>;
  /** A lease at once, or undefined. */
  tryAcquire(key: ObjectKey, options?: { readonly digest?: Digest }): Lease | undefined;
  /**
   * Waits until the adapter is Resident, loading it on demand.
   * @throws MODEL_NOT_FOUND, ADAPTER_NOT_AVAILABLE with the reason, QUEUE_FULL, ENGINE_DOWN when the runtime stops, or
   * the reason of the signal
   */
  acquire(
    key: ObjectKey,
    options: { readonly digest?: Digest; readonly signal: AbortSignal },
  ): Promise<Lease>;
  preload(key: ObjectKey, signal: AbortSignal): Promise<void>;
  /**
   * Out of RAM once its references ran out.
   * @throws MODEL_NOT_FOUND; VERB_REFUSED while a rollout holds it
   */
  evict(key: ObjectKey, signal: AbortSignal): Promise<void>;
  /**
   * Stays until the manifest changes `pinned`.
   * @throws MODEL_NOT_FOUND
   */
  pin(key: ObjectKey, pinned: boolean): void;
  /**
   * Forgets a failure.
   * @throws MODEL_NOT_FOUND
   */
  retry(key: ObjectKey): void;
  /** Forgets the failures with this code: what caused them may be over, and `reason` says why. */
  retryFailed(code: ErrorCode, reason: string): void;
  /** Whether these fit into RAM together, beside what is pinned. */
  fits(keys: readonly ObjectKey[]): Fit;
  facts(): readonly AdapterView[];
  /** One adapter, in constant time. */
  view(key: ObjectKey): AdapterView | undefined;
  state(key: ObjectKey): State | undefined;
  /**
   * True while it is Resident with this content. With one adapter at a time also while it is out of RAM for others after it
   * was Resident: {@link acquire} brings it back.
   */
  serves(key: ObjectKey, digest: Digest): boolean;
  /**
   * Why an adapter that is here would not serve, by the plan in force and what is kept of its signatures; undefined: it would.
   * @throws STORE_*
   */
  whyNot(key: ObjectKey): Promise<string | undefined>;
  /** The digest of an adapter once it is known. */
  resolved(key: ObjectKey): Digest | undefined;
  usage(): Usage;
  /** What there is for one who divides memory. */
  memoryUse(): MemoryUse;
  /** RAM that adapters may take for now, at most the budget; what nobody uses leaves down to that. Guarantees and pins stay. */
  limitMemory(bytes: number): void;
  /** RAM of what was loaded for requests for adapters of a namespace since this was asked last. */
  takeLoads(namespace: string): number;
  /** RAM of the adapters of a namespace. */
  usedBy(namespace: string): number;
  /** Disk of the artifacts of a namespace. */
  diskUsedBy(namespace: string): number;
  /** How often and how recently what is on the disk was used, for the next process. */
  readonly diskUses: Pick<DiskUses, 'count' | 'remembered'>;
  /** What is on the disk for requests alone leaves until so many bytes more are free, as far as it suffices. */
  freeDisk(bytes: number): Promise<void>;
  /** The disk has lost these, and set them aside: what is in service is brought back in the background. */
  lostOnDisk(digests: readonly Digest[]): void;
  /** How many of those are not back yet. */
  readonly awaitedOnDisk: number;
  /** Called for every arrow of the lifecycle, in order; must not throw. The result ends it. */
  onTransition(listener: (transition: Transition) => void): () => void;
  /** Called when what its facts say of an adapter is other without one, as when it finds no room. Not for bytes that come. */
  onNoted(listener: () => void): void;
  /** Refuses who waits and stops the work under way. The engine and what it holds are closed by their owner. */
  close(): Promise<void>;
};

export const createResidency = (options: ResidencyOptions): Residency => {
  const core = new Core(options);
  const loads = new PrioritySemaphore(options.maxParallelLoads);
  const ram = new Ram(core, (entry) => {
    work.ramFreed(entry);
  });
  const watch = new EngineWatch(options.engine, options.clock, {
    lost: () => {
      ram.engineLost();
    },
    ready: () => {
      work.reconsider();
    },
  });
  const removals = new Removals(core);
  const room = new DiskRoom({
    core,
    ram,
    removals,
    parked: (entry, reason) => {
      work.offDisk(entry, reason);
    },
  });
  const signatures = new Signatures(core, ram);
  const refetch = new Refetch(core, room);
  const loader = new Loader({
    core,
    watch,
    ram,
    signatures,
    loads,
    disk: new Disk({
      core,
      watch,
      removals,
      room,
      loads,
      signatures,
      noRoom: (entry, error) => {
        work.noDisk(entry, error);
      },
      fetching: (entry) => {
        prefetch.makeWay(entry);
      },
    }),
    arrived: (entry) => {
      requests.arrived(entry);
    },
    noRoom: (entry, refused) => {
      work.noRoom(entry, refused);
    },
    notAdmitted: (entry, message) => {
      work.notAdmitted(entry, message);
    },
  });
  const work = new Work(
    core,
    ram,
    (entry) => loader.run(entry),
    () => {
      prefetch.next();
    },
  );
  const requests = new Requests(core, ram, work);
  const prefetch = new Prefetch({ core, ram, work, waiting: () => requests.waiting });
  const desired = new Desired({ core, ram, work, removals, signatures });

  const known = (key: ObjectKey): Entry => {
    const entry = core.entries.get(key);
    if (entry === undefined) throw unknownAdapter(key);
    return entry;
  };

  const again = (entry: Entry, reason: string): void => {
    work.reset(entry, reason);
    entry.blocked = false;
    work.kick(entry);
  };

  const evict = async (key: ObjectKey, signal: AbortSignal): Promise<void> => {
    const entry = known(key);
    if (entry.held) {
      throw new AdaptletError('VERB_REFUSED', `adapter ${key} is what a rollout serves or moves to`);
    }
    entry.evictedByHand = true;
    entry.warm = false;
    ram.pump();
    for (;;) {
      if (signal.aborted) throw reasonOf(signal);
      if (entry.state.kind === 'Resident') ram.drain(entry, 'put out by hand');
      // A load that has begun is let end: it cannot be taken back halfway.
      const busy = entry.unloading?.promise ?? (entry.charge > 0 ? entry.job : undefined);
      if (busy === undefined) return;
      await unlessAborted(busy, signal).catch((error: unknown) => {
        throw signal.aborted ? reasonOf(signal) : error;
      });
    }
  };

  return {
    apply: (
      resources,
      sourceRefusal = () => undefined,
      keptOnDisk = new Set(),
      requirementFor = () => undefined,
    ) => {
      desired.apply(resources, sourceRefusal, keptOnDisk, requirementFor);
      void room.trim().then(() => room.collect());
    },
    ensure: (resource) => {
      desired.ensure(resource);
    },
    expect: (next) => {
      if (!prefetch.isOn) return;
      for (const one of next) if (typeof one !== 'string') desired.expect(one);
      prefetch.expect(next.map((one) => (typeof one === 'string' ? one : one.name)));
    },
    prefetched: () => core.prefetched.totals,
    tryAcquire: (key, { digest } = {}) => requests.tryAcquire(key, digest),
    acquire: (key, { digest, signal }) => requests.acquire(key, digest, signal),
    preload: (key, signal) => requests.preload(key, signal),
    evict,
    pin: (key, pinned) => {
      known(key).pinned = pinned;
      work.reconsider();
    },
    retry: (key) => again(known(key), 'asked for by hand'),
    retryFailed: (code, reason) => {
      for (const entry of [...core.entries.values()].sort(byUrgency))
        if (entry.state.kind === 'Failed' && entry.state.failure.code === code) again(entry, reason);
    },
    fits: (keys) => fitOf(core, keys),
    facts: () => viewsOf(core),
    view: (key) => {
      const entry = core.entries.get(key);
      return entry === undefined ? undefined : viewOf(core, entry);
    },
    state: (key) => core.entries.get(key)?.state,
    serves: (key, digest) => {
      const entry = core.entries.get(key);
      return entry?.digest === digest && servesNow(core, entry);
    },
    whyNot: async (key) => {
      const { resource, digest, state } = known(key);
      if (state.kind === 'Failed') return `${state.failure.code}: ${state.failure.message}`;
      const refusal = core.sourceRefusal(key, resource.body.source);
      return refusal ?? (digest === undefined ? undefined : await signatures.refusal(known(key), digest));
    },
    resolved: (key) => core.entries.get(key)?.digest,
    usage: () => ({
      budgetBytes: options.budgetBytes,
      usedBytes: ram.used,
      storedBytes: [...core.entries.values()].reduce((bytes, entry) => bytes + entry.storedBytes, 0),
      waiting: requests.waiting,
      limit: ram.limit,
    }),
    memoryUse: () => ram.use,
    limitMemory: (bytes) => {
      const before = core.ramBytes;
      ram.limitTo(bytes);
      if (core.ramBytes > before) work.roomCame();
    },
    takeLoads: (namespace) => core.takeLoads(namespace),
    usedBy: (namespace) => ram.usedBy(namespace),
    diskUsedBy: (namespace) => room.usedBy(namespace),
    diskUses: core.diskUses,
    freeDisk: (bytes) => room.free(() => bytes),
    lostOnDisk: (digests) => {
      for (const digest of digests) refetch.lost(digest);
    },
    get awaitedOnDisk() {
      return refetch.waiting;
    },
    onNoted: (listener) => {
      core.noteListeners.add(listener);
    },
    onTransition: (listener) => {
      core.listeners.add(listener);
      return () => {
        core.listeners.delete(listener);
      };
    },
    close: async () => {
      work.closed = true;
      refetch.close();
      const stopping = closing('this runtime is stopping');
      const jobs: Promise<void>[] = [];
      for (const entry of core.all()) {
        entry.cancelRetry?.();
        entry.abort.abort(stopping);
        work.refuse(entry, stopping);
        if (entry.job !== undefined) jobs.push(entry.job);
      }
      ram.pump();
      const late = Promise.withResolvers<void>();
      const cancel = options.clock.after(closeMs, late.resolve);
      await Promise.race([Promise.all(jobs), late.promise]);
      cancel();
      watch.close();
    },
  };
};
