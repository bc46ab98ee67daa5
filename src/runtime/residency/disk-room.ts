import { type Digest, namespaceOf } from '../../api/names.ts';
import type { Arrival } from '../../artifact/wish.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import { Mutex } from '../engine/mutex.ts';
import { type MemoryShare, noShare } from './accounts.ts';
import { type Core, onDiskName } from './core.ts';
import { DiskArrivals } from './disk-arrivals.ts';
import { type DiskHolding, type DiskPlan, type DiskWish, planDisk, planFree, planTrim } from './disk-plan.ts';
import type { Entry } from './entry.ts';
import type { Ram } from './ram.ts';
import type { Kept, Removals } from './removals.ts';
import { isPatient } from './urgency.ts';

/** Milliseconds after which something of the namespace may have become idle. */
const retryAfterMs = 30_000;

export type DiskRoomParts = {
  readonly core: Core;
  readonly ram: Ram;
  readonly removals: Removals;
  /** It left the disk for others: it is tried again later. */
  readonly parked: (entry: Entry, reason: string) => void;
};

/** The work that room is made for. */
export type Errand = {
  readonly signal: AbortSignal;
  /** It goes on: called when its turn comes, and after others left. */
  readonly alive: () => void;
};

/** Adapters of a namespace with one artifact; none of it: it was kept. */
type Group = {
  readonly owner: string;
  readonly digest: Digest;
  readonly entries: Entry[];
  readonly kept?: Kept;
  /** On the disk; of one that is only on its way, those that it will have there. */
  bytes: number;
  isStored: boolean;
};

type Limited = Extract<DiskPlan<Group>, { kind: 'limited' }>;

type OnDisk = {
  readonly digest: Digest;
  /** Undefined: it is on its way. */
  readonly storedBytes: number | undefined;
  readonly comingBytes: number;
};

const isCopied = ({ resource }: Entry): boolean => resource.body.source.path !== undefined;

const sumOf = (groups: readonly Group[], of: (group: Group) => number): number =>
  groups.reduce((sum, group) => sum + of(group), 0);

/**
 * What namespaces have on the disk, and what leaves it for something new ({@link planDisk}).
 *
 * Guarantees: a namespace never has more than its limit, what is on its way included, but for what was there before the limit was
 * and is in use, and for what is unpacked of an archive until it is known; what is guaranteed
 * to it leaves for nobody else. An artifact is deleted once no adapter here has it and counts it.
 */
export class DiskRoom {
  readonly #parts: DiskRoomParts;
  readonly #turns = new Mutex();
  /** Told of what becomes of those that were admitted. */
  readonly arrivals: DiskArrivals;
  /** Kept ones that could not be removed: nothing is gained by trying again. `namespace digest`. */
  readonly #stuck = new Set<string>();
  /** With its compiled file: what that has, or will have while one is on its way. */
  readonly #counted = ({ digest, bytes, entries }: Group): number => {
    const isComing = (entry: Entry): boolean =>
      entry.job !== undefined || this.arrivals.of(entry) !== undefined;
    const expected = entries.filter(isComing).map(({ knownCompiledBytes }) => knownCompiledBytes ?? bytes);
    return bytes + (this.#parts.core.options.compiler.bytesOf(digest) ?? Math.max(0, ...expected));
  };

  readonly #shareOf = (namespace: string): MemoryShare =>
    this.#parts.core.options.diskShare?.(namespace) ?? noShare;

  constructor(parts: DiskRoomParts) {
    this.#parts = parts;
    this.arrivals = new DiskArrivals(parts.core.options.compiler);
  }

  /** Bytes of the adapters of a namespace and of their compiled files, those on their way included. */
  usedBy(namespace: string): number {
    return sumOf(this.#groups({ of: namespace }), this.#counted);
  }

  /**
   * Room for what an adapter needs, until it is `settled`; others leave first, where they have to.
   * @throws NAMESPACE_ADAPTER_DISK, STORE_FULL, or the reason of the signal
   */
  async admit(entry: Entry, arrival: Arrival, errand: Errand): Promise<void> {
    await this.#turns.run(async () => {
      if (entry.prefetch === undefined) {
        await this.#makeRoom(entry, errand, () => this.#planFor(entry, arrival));
        await this.#checkBoth(entry, arrival);
      } else if (!this.#isSpare(entry, arrival)) entry.prefetch.stop.abort();
      // Given up: nobody would say that it is settled.
      errand.signal.throwIfAborted();
      entry.offDisk = false;
      entry.refused = undefined;
      this.arrivals.admitted(entry, arrival);
    });
  }

  /**
   * What had no room before is refused without its source being asked again, while that is so.
   * @throws NAMESPACE_ADAPTER_DISK
   */
  check(entry: Entry): void {
    const plan = entry.refused === undefined ? undefined : this.#plan(entry, entry.refused);
    if (entry.refused !== undefined && plan?.kind === 'limited')
      throw this.#refusal(entry, entry.refused, plan);
  }

  /** It is there, or does not come. */
  settled(entry: Entry): void {
    this.arrivals.settled(entry);
    void this.collect();
  }

  /**
   * Room for the compiled file of an adapter that is here, as far as others may leave for it; false where one is there: it needs none
   * while that can be used.
   * @throws NAMESPACE_ADAPTER_DISK; STORE_FULL where it is known to be too little; or the reason of the signal
   */
  async forCompiled(entry: Entry, digest: Digest, errand: Errand): Promise<boolean> {
    if (this.#parts.core.options.compiler.bytesOf(digest) !== undefined) return false;
    const arrival = { digest, bytes: entry.storedBytes, missingBytes: 0 };
    await this.#turns.run(async () => {
      // Nothing leaves for a guess.
      if (entry.prefetch !== undefined) return void this.#planFor(entry, arrival);
      await this.#makeRoom(entry, errand, () => this.#planFor(entry, arrival));
      await this.#checkBoth(entry, arrival);
      this.arrivals.compiles(entry, arrival);
    });
    return true;
  }

  /**
   * What is known to need far more room with its compiled file than its artifact has is not fetched, or read, while there is too little
   * for both.
   * @throws STORE_FULL with the numbers
   */
  async #checkBoth(entry: Entry, arrival: Arrival): Promise<void> {
    const { compiledBytes } = entry;
    if (compiledBytes === undefined) return;
    const lack = () => this.#bytesFor(entry, arrival);
    if (lack().missingBytes > lack().freeBytes) await this.#parts.core.options.dropLeftovers?.();
    const { missingBytes, freeBytes } = lack();
    if (missingBytes <= freeBytes) return;
    throw new AdaptletError(
      'STORE_FULL',
      `${entry.key} needs ${missingBytes} bytes of disk, of which its compiled file has ${compiledBytes}; ${freeBytes} are free`,
    );
  }

  /** Beyond the high mark of the disk what is there for requests alone, and in use by none, leaves until the low one. */
  async collect(): Promise<void> {
    const over = (): number => {
      const marks = this.#parts.core.options.diskMarks?.();
      return marks === undefined || marks.usedBytes <= marks.highBytes ? 0 : marks.usedBytes - marks.lowBytes;
    };
    if (over() > 0) await this.free(over);
  }

  /** What is there for requests alone leaves until so many bytes more are free, as far as it suffices. */
  async free(bytes: () => number): Promise<void> {
    const { core } = this.#parts;
    // What is on the disk for the plan is not known before there is one.
    if (!core.hasPlan) return;
    try {
      await this.#turns.run(async () => {
        const shares = { freeBytes: 0, shareOf: this.#shareOf };
        for (const group of planFree(this.#holdings(undefined), bytes(), shares)) await this.#evict(group);
      });
    } catch (error) {
      core.options.logger.error(
        { err: asAdaptletError(error, 'the disk') },
        'the disk could not be brought below its mark',
      );
    }
  }

  /** The adapter does without the disk. */
  async leave(entry: Entry): Promise<void> {
    entry.offDisk = true;
    await this.#parts.removals.drop(entry);
  }

  /** Puts namespaces back into their limits, as far as what they have is idle. */
  async trim(): Promise<void> {
    const { logger } = this.#parts.core.options;
    await this.#turns
      .run(async () => {
        for (;;) {
          const victims = this.#beyondLimits();
          if (victims.length === 0) return;
          for (const group of victims) await this.#evict(group);
        }
      })
      .catch((error: unknown) => {
        logger.error(
          { err: asAdaptletError(error, 'the disk') },
          'a namespace has more on the disk than it may',
        );
      });
  }

  /** What has to leave so that nobody has more than its limit. */
  #beyondLimits(): readonly Group[] {
    const isOver = (groups: readonly Group[], owner: string): boolean =>
      sumOf(groups, this.#counted) > this.#shareOf(owner).limit;
    const owners = Map.groupBy(this.#groups(), ({ owner }) => owner);
    // What is within its limits costs one look at each adapter.
    if (![...owners].some(([owner, groups]) => isOver(groups, owner))) return [];
    return planTrim(this.#holdings(undefined), this.#shareOf);
  }

  /** Below the high mark there is room that nobody needs, and prefetches may download so much. */
  #isSpare(entry: Entry, arrival: Arrival): boolean {
    const { options, prefetchBytes } = this.#parts.core;
    const { usedBytes, highBytes } = options.diskMarks?.() ?? { usedBytes: 0, highBytes: Infinity };
    const { freeBytes, missingBytes } = this.#bytesFor(entry, arrival);
    if (missingBytes > Math.min(freeBytes, highBytes - usedBytes)) return false;
    const plan = this.#plan(entry, arrival);
    if (plan.kind !== 'fits' || plan.evict.length > 0) return false;
    if (isCopied(entry) || arrival.missingBytes === 0) return true;
    return options.prefetch?.downloads === true && prefetchBytes.take(arrival.missingBytes);
  }

  async #makeRoom(entry: Entry, { signal, alive }: Errand, plan: () => readonly Group[]): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      alive();
      const victims = plan();
      if (victims.length === 0) return;
      // What is wanted again meanwhile stays, and is no candidate the next time.
      for (const group of victims) await this.#evict(group);
    }
  }

  /** @throws NAMESPACE_ADAPTER_DISK */
  #planFor(entry: Entry, arrival: Arrival): readonly Group[] {
    const plan = this.#plan(entry, arrival);
    if (plan.kind === 'fits') return plan.evict;
    entry.refused = arrival;
    throw this.#refusal(entry, arrival, plan);
  }

  /** Of an artifact with its compiled file, as far as that is known; else as if that had as many. */
  #bothOf(entry: Entry, arrival: Arrival): number {
    return arrival.bytes + this.arrivals.compiledBytes(entry, arrival);
  }

  #plan(entry: Entry, arrival: Arrival): DiskPlan<Group> {
    const { digest } = arrival;
    const owner = namespaceOf(entry.key);
    const { freeBytes, missingBytes } = this.#bytesFor(entry, arrival);
    const { limit } = this.#shareOf(owner);
    // Beside what its namespace has of it already.
    const moreThan = (countedBytes = 0): number => Math.max(0, this.#bothOf(entry, arrival) - countedBytes);
    // Most arrivals find room: for those not everything on the disk is looked at.
    const own = limit === Infinity ? [] : this.#groups({ but: entry, of: owner });
    const same = own.find((group) => group.digest === digest);
    const isWithin = sumOf(own, this.#counted) + moreThan(same && this.#counted(same)) <= limit;
    if (missingBytes <= freeBytes && isWithin) return { kind: 'fits', evict: [] };
    // What its namespace has of the very artifact does not leave for it.
    const isSame = (one: DiskHolding<Group>): boolean => one.owner === owner && one.of.digest === digest;
    const holdings = this.#holdings(entry).map((one) => (isSame(one) ? { ...one, isIdle: false } : one));
    const held = holdings.find(isSame);
    const wish: DiskWish = {
      owner,
      bytes: moreThan(held?.bytes),
      missingBytes,
      patient: isPatient(entry),
      held: entry.held,
    };
    return planDisk(holdings, wish, { freeBytes, shareOf: this.#shareOf });
  }

  /** What an arrival takes with its compiled file, and what is free beside others on their way; what several bring, once. */
  #bytesFor(entry: Entry, arrival: Arrival) {
    const { diskFree = () => Infinity } = this.#parts.core.options;
    const { missingBytes, promisedBytes } = this.arrivals.bytesFor(entry, arrival);
    return { missingBytes, freeBytes: diskFree() - promisedBytes };
  }

  #refusal(entry: Entry, arrival: Arrival, { heldBytes, limitBytes }: Limited): AdaptletError {
    const bytes = this.#bothOf(entry, arrival);
    return new AdaptletError(
      'NAMESPACE_ADAPTER_DISK',
      `${entry.key} needs ${bytes} bytes of disk; of the ${limitBytes} bytes that namespace ${namespaceOf(entry.key)} may have here it has ${heldBytes}`,
      bytes > limitBytes ? {} : { retryAfterMs },
    );
  }

  /** By namespace and digest; `but`: one that is about to come does not count by itself; `of`: those of one namespace alone. */
  #groups({ but, of }: { readonly but?: Entry | undefined; readonly of?: string } = {}): readonly Group[] {
    const groups = new Map<string, Group>();
    for (const entry of this.#parts.core.all()) {
      const owner = namespaceOf(entry.key);
      const found = entry === but || (of ?? owner) !== owner ? undefined : this.#onDisk(entry);
      if (found === undefined) continue;
      const { digest, storedBytes, comingBytes } = found;
      const name = onDiskName(owner, digest);
      const group = groups.get(name) ?? { owner, digest, entries: [], bytes: 0, isStored: false };
      group.entries.push(entry);
      if (storedBytes === undefined) {
        if (!group.isStored) group.bytes = Math.max(group.bytes, comingBytes);
      } else if (!group.isStored) {
        group.bytes = storedBytes;
        group.isStored = true;
      }
      groups.set(name, group);
    }
    for (const kept of this.#parts.core.hasPlan ? this.#parts.removals.kept(of) : []) {
      const { owner, digest, bytes } = kept;
      groups.set(onDiskName(owner, digest), { owner, digest, entries: [], kept, bytes, isStored: true });
    }
    return [...groups.values()];
  }

  /** The artifact that the adapter has on the disk or on its way there. */
  #onDisk(entry: Entry): OnDisk | undefined {
    const { digest, offDisk, state, job, wish } = entry;
    const coming = this.arrivals.of(entry);
    const its = coming?.digest ?? digest;
    // Work that finds it asks for its room.
    const isOut = digest === undefined || offDisk || (state.kind === 'Remote' && job !== undefined);
    if (its === undefined || (coming === undefined && isOut)) return undefined;
    const storedBytes = this.#parts.core.options.artifacts.stored(wish, its)?.bytes;
    if (coming === undefined && storedBytes === undefined) return undefined;
    return { digest: its, storedBytes, comingBytes: coming?.bytes ?? 0 };
  }

  #holdings(but: Entry | undefined): readonly DiskHolding<Group>[] {
    const groups = this.#groups({ but });
    const { core } = this.#parts;
    const { keptOnDisk, options } = core;
    core.diskUses.policy.divided(groups.length);
    const owners = Map.groupBy(groups, ({ digest }) => digest);
    return groups.map((group) => {
      const { owner, digest, entries, kept, bytes } = group;
      const isShared = (owners.get(digest)?.length ?? 0) > 1 || but?.digest === digest;
      const isLocal = kept?.isLocal ?? entries.every(isCopied);
      const isSpare = kept === undefined && entries.every(({ spare }) => spare.has('disk'));
      const isProtected = entries.some((entry) => entry.protected || keptOnDisk.has(entry.key));
      const isWanted = entries.some(({ resource }) => resource.body.tier !== 'None');
      return {
        of: group,
        owner,
        bytes: this.#counted(group),
        freedBytes: isShared ? 0 : bytes + (options.compiler.bytesOf(digest) ?? 0),
        isIdle: !this.#stuck.has(onDiskName(owner, digest)) && entries.every((entry) => this.#isIdle(entry)),
        protected: isProtected,
        isWanted,
        isGuess: isSpare && !isProtected && !isWanted,
        priority: isSpare ? -Infinity : kept ? 0 : Math.max(...entries.map(({ priority }) => priority)),
        worth: core.diskWorth({ owner, digest, bytes, isLocal }),
        lastUse: core.diskUses.lastUse(onDiskName(owner, digest)),
      };
    });
  }

  #isIdle(entry: Entry): boolean {
    const { job, references, waiters, state, abort } = entry;
    const isBusy = job !== undefined || references > 0 || waiters.size > 0 || abort.signal.aborted;
    return (
      !isBusy && state.kind !== 'Loaded' && state.kind !== 'Draining' && this.arrivals.of(entry) === undefined
    );
  }

  async #evict({ owner, digest, entries, kept }: Group): Promise<void> {
    if (kept !== undefined && !(await this.#parts.removals.dropKept(owner, digest)))
      this.#stuck.add(onDiskName(owner, digest));
    const reason = 'it left the disk for others';
    for (const entry of entries) {
      if (!this.#isIdle(entry)) continue;
      this.#parts.parked(entry, reason);
      if (entry.state.kind === 'Resident') {
        this.#parts.ram.drain(entry, reason);
        await entry.unloading?.promise;
      }
      // Somebody may have asked for it while it left RAM.
      if (this.#isIdle(entry)) await this.leave(entry);
    }
  }
}
