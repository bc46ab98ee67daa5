import { type Digest, namespaceOf, type ObjectKey } from '../../api/names.ts';
import type { Source } from '../../api/source.ts';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import type { Requirement } from '../../signature/requirement.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Compiler } from '../compiled/compiled-adapter.ts';
import type { Engine } from '../engine/engine.ts';
import type { MemoryShare } from './accounts.ts';
import { DiskUses, type RememberedUses } from './disk-uses.ts';
import type { Entry } from './entry.ts';
import { createEvictionPolicy, type EvictionPolicyName } from './eviction-policies.ts';
import { type EvictionPolicy, refetchMs, reloadMs } from './eviction-policy.ts';
import { HourlyBytes } from './hourly-bytes.ts';
import { isInRam, type LifecycleEvent, type StateKind, transition } from './lifecycle.ts';
import type { Resolutions, Verdicts } from './ports.ts';
import { PrefetchTally, type PrefetchTier } from './prefetch-tally.ts';
import { Strangers } from './strangers.ts';

/** One arrow of the lifecycle, as it happened. `at`: wall time in milliseconds since the epoch. */
export type Transition = {
  readonly key: ObjectKey;
  /** Tells a removed adapter, which still leaves, from the new one of the same name. */
  readonly uid: string;
  readonly from: StateKind;
  readonly to: StateKind;
  /** For people: names files, tensors and numbers. */
  readonly reason: string;
  /** For programs: the event, or the code of the error catalogue when it failed. */
  readonly cause: Exclude<LifecycleEvent['kind'], 'Failed'> | ErrorCode;
  readonly at: number;
};

export type ResidencyOptions = {
  readonly artifacts: Artifacts;
  readonly compiler: Compiler;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly verdicts: Verdicts;
  readonly resolutions: Resolutions;
  readonly logger: Log;
  /** Name of the base model that this runtime announces. */
  readonly baseModel: string;
  /** RAM budget of adapters in bytes. */
  readonly budgetBytes: number;
  /** What a namespace has of it at least and at most, as the plan in force says. Default: nothing is guaranteed or limited. */
  readonly memoryShare?: (namespace: string) => MemoryShare;
  /** The same of the disk, by the bytes of artifacts. */
  readonly diskShare?: (namespace: string) => MemoryShare;
  /** Bytes that artifacts may still take. Default: as many as they like. */
  readonly diskFree?: () => number;
  /** Has left-overs on the disk give way. Default: there are none. */
  readonly dropLeftovers?: () => Promise<void>;
  /** What is on the disk, and from where to where things leave it that nothing needs. Default: they leave for others alone. */
  readonly diskMarks?: () => DiskMarks;
  /** Compiles and loads at the same time. */
  readonly maxParallelLoads: number;
  /** Fetches at the same time, of one namespace one less; apart from loads, so that a slow registry never delays what is on disk. Default 4. */
  readonly maxParallelFetches?: number;
  /** Adapters outside the plan, registered by `ensure`. Default 256. */
  readonly maxDynamic?: number;
  /** Requests that may wait for adapters; one more is refused with QUEUE_FULL. Default 1024. */
  readonly maxWaiting?: number;
  /** Milliseconds without progress after which a fetch is given up. Default 60,000. */
  readonly fetchStallMs?: number;
  /** Milliseconds without progress after which a compile is given up, and those of a smoke test. Default 120,000. */
  readonly stageLimitMs?: number;
  /**
   * One adapter at a time is in RAM, however small: what is held or pinned steps down to Compiled, once it is unreferenced, for a request
   * and for what the plan wants in RAM for the first time. Default false: what is held or pinned never leaves RAM.
   */
  readonly oneAdapter?: boolean;
  /** Who leaves RAM, and the disk, first of those with one priority that nobody uses, holds or has pinned. Default lru. */
  readonly evictionPolicy?: EvictionPolicyName;
  /** What an earlier process knew of the uses of what is on the disk. Default: nothing. */
  readonly usedBefore?: RememberedUses | undefined;
  /** What may be brought nearer before it is asked for. Default: nothing. */
  readonly prefetch?: PrefetchOptions | undefined;
  /**
   * Asked before an adapter is compiled or loaded; resolves once it may be: undefined, or why it may not be now. Then it is
   * left alone like one that finds no room. Default: everything may.
   */
  readonly admit?: (uid: string, digest: Digest) => Promise<string | undefined>;
  /** From [0, 1); spreads retries. Default: no spread. */
  readonly random?: () => number;
};

/** `downloads`: also what is not on the disk, of at most so many bytes in an hour. */
export type PrefetchOptions = { readonly downloads: boolean; readonly hourlyBytes: number };

/** Bytes. More than `highBytes` is brought down to `lowBytes`. */
export type DiskMarks = { readonly usedBytes: number; readonly highBytes: number; readonly lowBytes: number };

/** Why an adapter may not come from a source; undefined: it may. */
export type SourceRefusal = (key: ObjectKey, source: Source) => string | undefined;

/**
 * What an adapter has to be signed by; undefined: nobody.
 * @throws AdaptletError SIGNATURE_UNTRUSTED where nobody here knows
 */
export type RequirementFor = (resource: Versioned<AdapterResource>) => Requirement | undefined;

/** Milliseconds for which what could not be prefetched, or made way, is left alone. */
export const prefetchRestMs = 60_000;
/** And what left before anybody used it. */
const wastedRestMs = 900_000;

/** An artifact as a namespace has it. */
export const onDiskName = (owner: string, digest: Digest): string => `${owner} ${digest}`;

/** `isLocal`: it came from a folder of this node. */
type StoredArtifact = {
  readonly owner: string;
  readonly digest: Digest;
  readonly bytes: number;
  readonly isLocal: boolean;
};

/** What the parts of residency share: the table of adapters and the only way to change a state. */
export class Core {
  readonly options: ResidencyOptions;
  readonly entries = new Map<ObjectKey, Entry>();
  /** Removed ones that still have something in the engine or under way. */
  readonly retiring = new Set<Entry>();
  readonly listeners = new Set<(t: Transition) => void>();
  readonly noteListeners = new Set<() => void>();
  /** Grows by one each time the engine process ended: what was loaded or referenced in another life is void. */
  life = 0;
  /** By the policies of the plan in force. */
  sourceRefusal: SourceRefusal = () => undefined;
  /** By the policies of the plan in force, and by adapters themselves. */
  requirementFor: RequirementFor = () => undefined;
  /** What rollouts may go back to, and what serves in place of others on their way: its artifact is as good as held. */
  keptOnDisk: ReadonlySet<ObjectKey> = new Set();
  /** A plan is in force: what no adapter has is not needed. */
  hasPlan = false;
  /** What a place in RAM is worth, by adapter. */
  readonly policy: EvictionPolicy;
  /** RAM that adapters may take now: the budget, or less while memory is short. Bytes. */
  ramBytes: number;
  /** Of what is on the disk, by {@link onDiskName}. */
  readonly diskUses: DiskUses;
  readonly prefetched = new PrefetchTally();
  /** What prefetches may download. */
  readonly prefetchBytes: HourlyBytes;
  /** Single users that have no adapter. */
  readonly strangers: Strangers;
  /** Adapters that are worked on. */
  jobs = 0;
  #ticks = 0;

  constructor(options: ResidencyOptions) {
    this.options = options;
    this.ramBytes = options.budgetBytes;
    const policy = options.evictionPolicy ?? 'lru';
    this.policy = createEvictionPolicy(policy);
    this.diskUses = new DiskUses(policy, options.usedBefore);
    this.strangers = new Strangers(options.clock);
    this.prefetchBytes = new HourlyBytes(options.prefetch?.hourlyBytes ?? 0, options.clock);
  }

  /** What is said of an adapter changed without a transition. */
  noted(): void {
    for (const listener of this.noteListeners) listener();
  }

  /** A number higher than all before. */
  tick(): number {
    this.#ticks += 1;
    return this.#ticks;
  }

  /** RAM of what was loaded for requests, by namespace, that {@link takeLoads} did not tell yet. */
  readonly #loaded = new Map<string, number>();

  loadedForRequest({ key, charge }: Entry): void {
    const namespace = namespaceOf(key);
    this.#loaded.set(namespace, (this.#loaded.get(namespace) ?? 0) + charge);
  }

  takeLoads(namespace: string): number {
    const bytes = this.#loaded.get(namespace) ?? 0;
    this.#loaded.delete(namespace);
    return bytes;
  }

  /** A request begins to use the adapter, or a preload has brought it into RAM for one. */
  used(entry: Entry): void {
    const { key, digest } = entry;
    entry.lastUse = this.tick();
    this.policy.used(key);
    if (digest !== undefined) this.diskUses.used(onDiskName(namespaceOf(key), digest));
    this.prefetched.used(entry);
  }

  /** It was in use up to now. */
  touched(entry: Entry): void {
    const { key, digest } = entry;
    entry.lastUse = this.tick();
    if (digest !== undefined) this.diskUses.touched(onDiskName(namespaceOf(key), digest));
  }

  /** What its place in RAM is worth, compared with others at this moment. */
  worth({ key, charge }: Entry): number {
    return this.policy.worth({ key, bytes: charge, reloadMs: reloadMs(charge) });
  }

  /** What the place of an artifact on the disk is worth, compared with others at this moment. */
  diskWorth({ owner, digest, bytes, isLocal }: StoredArtifact): number {
    return this.diskUses.policy.worth({
      key: onDiskName(owner, digest),
      bytes,
      reloadMs: refetchMs(bytes, isLocal),
    });
  }

  *all(): IterableIterator<Entry> {
    yield* this.entries.values();
    yield* this.retiring;
  }

  /** What left unused is not brought back at once. */
  #wasted(entry: Entry, tier: PrefetchTier): void {
    if (!entry.spare.has(tier)) return;
    this.prefetched.left(entry, tier);
    entry.prefetchAt = this.options.clock.monotonic() + wastedRestMs;
  }

  move(entry: Entry, event: LifecycleEvent): void {
    const from = entry.state.kind;
    const next = transition(entry.state, event);
    if (!next.ok) throw new AdaptletError('INTERNAL', `adapter ${entry.key}: ${next.refusal}`);
    if (isInRam(entry.state) && !isInRam(next.state)) this.#wasted(entry, 'ram');
    if (event.kind === 'ArtifactLost') this.#wasted(entry, 'disk');
    entry.state = next.state;
    const { logger, clock } = this.options;
    const { key, uid } = entry;
    const cause = event.kind === 'Failed' ? event.failure.code : event.kind;
    const keys = { key, uid, from, to: next.state.kind, reason: next.reason, cause, at: clock.now() };
    logger[next.state.kind === 'Failed' ? 'warn' : 'debug'](keys, 'adapter changed its state');
    for (const listener of this.listeners) {
      try {
        listener(keys);
      } catch (error) {
        logger.error({ err: error, key: entry.key }, 'a listener of adapter states failed');
      }
    }
  }
}
