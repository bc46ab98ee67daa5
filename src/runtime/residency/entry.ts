import { type Digest, type ObjectKey, shortDigest } from '../../api/names.ts';
import type { Arrival, Wish } from '../../artifact/wish.ts';
import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import type { CompiledAdapter } from '../compiled/compiled-adapter.ts';
import type { State } from './lifecycle.ts';
import type { PrefetchTier } from './prefetch-tally.ts';

/** Someone who waits for an adapter to be Resident. */
export type Waiter = {
  readonly kind: 'request' | 'preload';
  /** Arrival order over all adapters. */
  readonly seq: number;
  readonly granted: (entry: Entry) => void;
  readonly refused: (error: AdaptletError) => void;
};

/** How far an adapter should be brought. */
export type Goal = 'none' | 'disk' | 'ram';

/** Work that nobody waits for and the plan does not ask for. `stop` is aborted when something else needs what it takes. */
export type Prefetching = { readonly to: 'disk' | 'ram'; readonly stop: AbortController };

/** The name of an adapter inside the engine. It contains the digest, so that two contents never share a name. */
export const engineNameOf = (key: ObjectKey, digest: Digest): string => `${key}--${shortDigest(digest)}`;

/** All that residency knows of one adapter: one uid, one content. */
export class Entry {
  readonly key: ObjectKey;
  readonly uid: string;
  resource: Versioned<AdapterResource>;
  /** In the plan; else registered by a request of one user. */
  planned: boolean;
  state: State = { kind: 'Remote' };

  /** Fixed once known: named by the resource, or resolved by the first fetch. */
  digest: Digest | undefined;
  storedBytes = 0;
  /** What its last fetch brings: it may be on the disk while `digest` is not known. */
  arriving: Digest | undefined;
  /** Settles when what it last did on the disk has ended, which may be after that was given up. */
  onDisk: Promise<unknown> | undefined;
  /** It does without its artifact on the disk, which may be there for others. */
  offDisk = false;
  /** What its namespace had no room for on the disk. */
  refused: Arrival | undefined;
  /** By this process: the files are as the digest says. */
  fetched = false;
  /** Content and requirement, as `Signatures` knows them, for which its signatures were verified last. */
  signedFor: string | undefined;
  /** The requirement for which they were looked for in vain. */
  unsignedFor: string | undefined;
  compiled: CompiledAdapter | undefined;
  /** Of its compiled file, where that turned out to be larger than its artifact. */
  compiledBytes: number | undefined;
  /** What it needs in RAM: what its compiled file says, or what the engine reported. */
  bytes: number | undefined;

  pinned: boolean;
  /** Bytes of the RAM budget that it holds now, from the reservation before the load until it is freed. */
  charge = 0;
  /** A request waited for it when its load began. */
  isForRequest = false;
  /** Requests that use it now, in the present life of the engine. */
  references = 0;
  /** Position in the order of uses; higher is more recent. */
  lastUse = 0;

  /** Set while it is brought nearer on a guess: until its work ends, or somebody waits for it. */
  prefetch: Prefetching | undefined;
  /** Bytes that were prefetched and not used since: it leaves before what was used. */
  readonly spare = new Map<PrefetchTier, number>();
  /** Monotonic time before which it is not prefetched again. */
  prefetchAt = 0;

  /** Was Resident when the engine process ended. */
  warm = false;
  /** Evicted from RAM by hand: nothing but a request, a preload or a changed resource brings it back. */
  evictedByHand = false;
  /** Found no room as a preload; tried again when room may have come. */
  blocked = false;
  /** Was Resident at least once since the plan came to hold it, or since it was registered. */
  wasResident = false;
  /** What holds it up, or how far a fetch is; '' when nothing is to be said. */
  note = '';

  /** Failures in a row, and ends of the engine process while it was being loaded. */
  attempts = 0;
  engineDeaths = 0;
  /** Monotonic time from which a Failed with retry class Backoff may be tried again. */
  retryAt = 0;
  cancelRetry: (() => void) | undefined;

  readonly waiters = new Set<Waiter>();
  /** The work under way; at most one. */
  job: Promise<void> | undefined;
  /** Aborted when the adapter is removed or residency closes. */
  readonly abort = new AbortController();
  /** Settles when the adapter is out of the engine; set while it is Draining or being unloaded. */
  unloading: PromiseWithResolvers<void> | undefined;
  /** Resolves when a removed adapter has left the engine and its work has ended. */
  readonly removed = Promise.withResolvers<void>();

  constructor(resource: Versioned<AdapterResource>, planned: boolean, digest: Digest | undefined) {
    this.key = resource.name;
    this.uid = resource.body.uid;
    this.resource = resource;
    this.planned = planned;
    this.pinned = resource.body.pinned;
    this.digest = digest;
  }

  /** Of its compiled file, there or not; undefined until there was one, or it was known how large it gets. */
  get knownCompiledBytes(): number | undefined {
    return this.compiledBytes ?? this.compiled?.bytes;
  }

  /** What is asked of the disk and of sources. */
  get wish(): Wish {
    return { key: this.key, uid: this.uid, source: this.resource.body.source };
  }

  get held(): boolean {
    return this.resource.body.held;
  }
  get priority(): number {
    return this.resource.body.priority;
  }
  /** Never a victim of eviction. */
  get protected(): boolean {
    return this.held || this.pinned;
  }
  /** The plan wants it in RAM. */
  get wantedInRam(): boolean {
    return this.held || this.resource.body.tier === 'Memory';
  }

  get goal(): Goal {
    if (this.abort.signal.aborted) return 'none';
    if (this.waiters.size > 0) return 'ram';
    if (!this.evictedByHand && (this.wantedInRam || this.warm)) return 'ram';
    if (this.prefetch !== undefined) return this.evictedByHand ? 'disk' : this.prefetch.to;
    return this.wantedInRam || this.resource.body.tier === 'Disk' ? 'disk' : 'none';
  }

  /** Ends the work that begins now. */
  get signal(): AbortSignal {
    const { abort, prefetch } = this;
    return prefetch === undefined ? abort.signal : AbortSignal.any([abort.signal, prefetch.stop.signal]);
  }

  /** Evicted for someone more urgent, or without room: left alone until its time comes or someone waits for it. */
  get parked(): boolean {
    return this.blocked && this.waiters.size === 0;
  }

  /** True when nothing is left to do for the goal. */
  get reached(): boolean {
    const { goal, state } = this;
    if (goal === 'none' || state.kind === 'Resident') return true;
    return goal === 'disk' && (state.kind === 'Compiled' || state.kind === 'Draining');
  }
}
