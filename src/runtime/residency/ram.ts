import { namespaceOf } from '../../api/names.ts';
import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Limit } from '../engine/engine.ts';
import type { Core } from './core.ts';
import type { Entry } from './entry.ts';
import { isInRam, type LifecycleEvent } from './lifecycle.ts';
import { type Holding, planRoom, type Wish } from './room.ts';
import { planShrink } from './shrink.ts';
import { byUrgency, isAskedFor, isPatient, Turns } from './urgency.ts';

const unloadRetryMs = 1_000;

export type Reservation =
  | { readonly kind: 'granted' }
  /** Nobody wants it in RAM any more. */
  | { readonly kind: 'unwanted' }
  /** It does not fit beside what may not be evicted. */
  | Refused;

/** `isLimit`: of its namespace. */
export type Refused = { readonly kind: 'refused'; readonly message: string; readonly isLimit: boolean };

/** What adapters take of RAM, in bytes. */
export type MemoryUse = {
  readonly usedBytes: number;
  /** Of that: nobody uses it, and nothing keeps it from leaving when memory is short. */
  readonly sparableBytes: number;
  /** Of that: it is on its way out. */
  readonly leavingBytes: number;
  /** What the largest adapter needs, as far as that is known. */
  readonly largestBytes: number;
};

const bytesIn = (holdings: readonly Holding<Entry>[]): number =>
  holdings.reduce((sum, { bytes }) => sum + bytes, 0);

type Pending = { readonly bytes: number; readonly settle: (reservation: Reservation) => void };

/**
 * The RAM budget: reservations, eviction, drain, unload.
 *
 * Guarantees: the charges of all adapters together never exceed the budget; the engine unloads nothing that is
 * referenced.
 */
export class Ram {
  readonly #core: Core;
  readonly #onFreed: (entry: Entry) => void;
  readonly #pending = new Map<Entry, Pending>();
  readonly #turns = new Turns();
  #limit: Limit | undefined;
  #pumping = false;
  #again = false;

  /** `onFreed` is told when an adapter went out of RAM and its bytes are free. */
  constructor(core: Core, onFreed: (entry: Entry) => void) {
    this.#core = core;
    this.#onFreed = onFreed;
  }

  get used(): number {
    let bytes = 0;
    for (const entry of this.#core.all()) bytes += entry.charge;
    return bytes;
  }
  /** Of the adapters of a namespace. */
  usedBy(namespace: string): number {
    let bytes = 0;
    for (const entry of this.#core.all()) bytes += namespaceOf(entry.key) === namespace ? entry.charge : 0;
    return bytes;
  }
  get free(): number {
    return this.#core.ramBytes - this.used;
  }
  get use(): MemoryUse {
    const holdings = this.#holdings((entry) => entry.charge);
    let largestBytes = 0;
    for (const { bytes = 0 } of this.#core.all()) largestBytes = Math.max(largestBytes, bytes);
    return {
      usedBytes: bytesIn(holdings),
      sparableBytes: bytesIn(planShrink(Number.POSITIVE_INFINITY, holdings, this.#core.options.memoryShare)),
      leavingBytes: bytesIn(holdings.filter(({ phase }) => phase === 'leaving')),
      largestBytes,
    };
  }
  /** Adapters that wait for room. */
  get waiting(): number {
    return this.#pending.size;
  }

  /** What requests wanted in RAM at a time and did not fit, since this runtime started. */
  get limit(): Limit | undefined {
    return this.#limit;
  }

  /** Waits until `bytes` are charged to the entry, evicting others by the rules of {@link planRoom}. */
  reserve(entry: Entry, bytes: number): Promise<Reservation> {
    const { promise, resolve } = Promise.withResolvers<Reservation>();
    this.#pending.set(entry, { bytes, settle: resolve });
    this.pump();
    return promise;
  }

  /** Gives up a reservation or the bytes of something that the engine no longer holds. */
  uncharge(entry: Entry): void {
    entry.charge = 0;
    this.pump();
  }

  /** Decides anew who gets room. To be called whenever something changed that the decision depends on. */
  pump(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (
        this.#again &&
        (this.#pending.size > 0 || this.#core.options.memoryShare !== undefined || this.free < 0)
      ) {
        this.#again = false;
        this.#shrink();
        this.#divide();
      }
    } finally {
      this.#pumping = false;
    }
  }

  #settle(entry: Entry, reservation: Reservation): void {
    const pending = this.#pending.get(entry);
    if (pending === undefined) return;
    this.#pending.delete(entry);
    if (reservation.kind === 'granted') {
      entry.charge = pending.bytes;
      entry.isForRequest = isAskedFor(entry);
      this.#turns.took(entry);
    }
    pending.settle(reservation);
  }

  /** Adapters may take so many bytes from now on, at most the budget; what nobody uses leaves down to that. */
  limitTo(bytes: number): void {
    this.#core.ramBytes = Math.min(bytes, this.#core.options.budgetBytes);
    this.pump();
  }

  #shrink(): void {
    if (this.free >= 0) return;
    const { usedBytes, leavingBytes } = this.use;
    const over = usedBytes - leavingBytes - this.#core.ramBytes;
    const holdings = this.#holdings((entry) => entry.charge);
    for (const { of: entry } of planShrink(over, holdings, this.#core.options.memoryShare)) {
      entry.blocked = true;
      this.drain(entry, 'evicted because memory is short');
    }
  }

  #divide(): void {
    for (const entry of this.#pending.keys()) {
      if (entry.goal !== 'ram') this.#settle(entry, { kind: 'unwanted' });
    }
    const { oneAdapter = false, memoryShare } = this.#core.options;
    const budgetBytes = this.#core.ramBytes;
    const plan = planRoom(
      budgetBytes,
      this.#holdings((entry) => this.#place(entry.charge)),
      this.#wishes(),
      oneAdapter ? undefined : memoryShare,
    );
    for (const entry of plan.grant) this.#settle(entry, { kind: 'granted' });
    for (const { of: entry, fixedBytes, limitBytes } of plan.refuse) {
      if (entry.prefetch !== undefined) {
        entry.prefetch = undefined;
        this.#settle(entry, { kind: 'unwanted' });
        continue;
      }
      const needs = `${entry.key} needs ${this.#pending.get(entry)?.bytes ?? 0} bytes of RAM`;
      const message =
        limitBytes === undefined
          ? `${needs}; of the budget of ${budgetBytes} bytes ${fixedBytes} are held by adapters that are pinned, part of a rollout or guaranteed to other namespaces, ${this.free} are free`
          : `${needs}; of the ${limitBytes} bytes that namespace ${namespaceOf(entry.key)} may have here it has ${this.usedBy(namespaceOf(entry.key))}`;
      this.#settle(entry, { kind: 'refused', message, isLimit: limitBytes !== undefined });
    }
    for (const entry of plan.evict) {
      if (entry.references > 0 && this.#pending.size > 0) this.#noteLimit();
      // Whoever put it out is more urgent; it comes back by its own demand or when there is room again.
      entry.blocked = true;
      this.drain(entry, 'evicted to make room');
    }
  }

  /** Adapters that requests use or wait for do not fit together. */
  #noteLimit(): void {
    const { budgetBytes, oneAdapter = false, logger } = this.#core.options;
    if (oneAdapter) return;
    let neededBytes = 0;
    for (const entry of this.#core.all()) {
      if (entry.references > 0 || this.#pending.has(entry))
        neededBytes += Math.max(entry.charge, this.#pending.get(entry)?.bytes ?? 0);
    }
    const isFirst = this.#limit === undefined;
    if (neededBytes > (this.#limit?.neededBytes ?? budgetBytes)) {
      const effect = 'adapters that are in use leave RAM for others, which wait';
      this.#limit = { flag: '--adapter-memory', effect, neededBytes, budgetBytes };
    }
    if (isFirst && this.#limit !== undefined)
      logger.warn(this.#limit, 'a budget of memory keeps requests from running together');
  }

  /** Bytes that an adapter takes of the budget when room is divided: all of it, and more where it is larger, where one adapter is to be in RAM. */
  #place(bytes: number): number {
    const { oneAdapter = false } = this.#core.options;
    return oneAdapter ? Math.max(bytes, this.#core.ramBytes) : bytes;
  }

  /** Bytes of each as `bytesOf` says. */
  #holdings(bytesOf: (entry: Entry) => number): Holding<Entry>[] {
    const holdings: Holding<Entry>[] = [];
    const charged = [...this.#core.all()].filter((entry) => entry.charge > 0);
    this.#core.policy.divided(charged.length);
    for (const entry of charged) {
      const { kind } = entry.state;
      const isGuess = entry.spare.has('ram') && !entry.wantedInRam;
      const phase = kind === 'Resident' ? 'resident' : kind === 'Draining' ? 'leaving' : 'loading';
      holdings.push({
        of: entry,
        owner: namespaceOf(entry.key),
        bytes: bytesOf(entry),
        phase,
        references: entry.references,
        protected: entry.protected,
        wanted: entry.wantedInRam,
        priority: isGuess ? -Infinity : entry.priority,
        isGuess,
        worth: this.#core.worth(entry),
        lastUse: entry.lastUse,
      });
    }
    return holdings;
  }

  #wishes(): Wish<Entry>[] {
    const { oneAdapter = false } = this.#core.options;
    return this.#turns.sort([...this.#pending.keys()].sort(byUrgency)).map((entry) => {
      // Without someone who waits, only its first time here: two that the plan wants would take turns for ever.
      const firstTime = oneAdapter && entry.wantedInRam && !entry.wasResident;
      return {
        of: entry,
        owner: namespaceOf(entry.key),
        bytes: this.#place(this.#pending.get(entry)?.bytes ?? 0),
        patient: isPatient(entry) || firstTime,
        overProtected: firstTime || (oneAdapter && entry.waiters.size > 0),
        isPrefetch: entry.prefetch !== undefined,
        wanted: entry.wantedInRam,
        priority: entry.priority,
      };
    });
  }

  /** No new requests from here on; unloads once the last reference is gone. */
  drain(entry: Entry, reason: string): void {
    entry.unloading = Promise.withResolvers<void>();
    this.#core.move(entry, { kind: 'DrainStarted', reason });
    this.#unloadWhenUnreferenced(entry, reason);
  }

  /** To be called when a reference was given back. */
  released(entry: Entry): void {
    // Nothing else waits for a reference: whoever needs room has made the adapter drain.
    if (entry.state.kind === 'Draining') this.#unloadWhenUnreferenced(entry, 'drained');
  }

  #unloadWhenUnreferenced(entry: Entry, reason: string): void {
    if (entry.references === 0) void this.unload(entry, { kind: 'Unloaded', reason });
  }

  /**
   * Takes something unreferenced out of the engine. Resolves once its bytes are free; tries again when the engine
   * refuses, since its bytes count as long as they are there.
   */
  async unload(entry: Entry, event: Extract<LifecycleEvent, { kind: 'Unloaded' }>): Promise<void> {
    const { state } = entry;
    const { life } = this.#core;
    if (!isInRam(state)) return;
    entry.unloading ??= Promise.withResolvers<void>();
    const { promise } = entry.unloading;
    const { engine, clock, logger } = this.#core.options;
    try {
      await engine.unload(state.engineName);
      if (this.#core.life === life && isInRam(entry.state)) {
        this.#core.move(entry, event);
        this.#freed(entry);
      }
    } catch (error) {
      const { code } = asAdaptletError(error, `unloading ${state.engineName}`);
      // The engine process ended: onState says so for all of its adapters at once.
      if (code !== 'ENGINE_DOWN') {
        logger.error({ err: error, key: entry.key }, 'the engine did not unload an adapter');
        clock.after(unloadRetryMs, () => {
          if (this.#core.life === life) void this.unload(entry, event);
        });
      }
    }
    await promise;
  }

  /** The engine process ended with everything in it: references of before are void. */
  engineLost(): void {
    this.#core.life += 1;
    const inRam = [...this.#core.all()].filter((entry) => {
      entry.references = 0;
      entry.charge = 0;
      return isInRam(entry.state);
    });
    for (const entry of inRam) this.lost(entry);
    this.pump();
  }

  /** One adapter is out of RAM because the engine process ended. */
  lost(entry: Entry): void {
    // What was leaving is not wanted back, nor what nobody used.
    entry.warm = entry.state.kind === 'Resident' && !entry.spare.has('ram');
    this.#core.move(entry, { kind: 'EngineLost' });
    this.#freed(entry);
  }

  #freed(entry: Entry): void {
    entry.charge = 0;
    const { unloading } = entry;
    entry.unloading = undefined;
    unloading?.resolve();
    this.pump();
    this.#onFreed(entry);
  }
}
