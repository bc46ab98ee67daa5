import { type Digest, namespaceOf, type ObjectKey, shortDigest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { closing } from '../engine/failures.ts';
import type { Core } from './core.ts';
import type { Entry, Waiter } from './entry.ts';
import type { Ram } from './ram.ts';
import { notAvailable, type Work } from './work.ts';

/** The right to use an adapter that is Resident; it is not unloaded before the lease is given back. */
export type Lease = {
  readonly engineName: string;
  readonly key: ObjectKey;
  /** Of the Adapter, without its namespace. */
  readonly name: string;
  readonly digest: Digest;
  [Symbol.dispose](): void;
};

export const unknownAdapter = (key: ObjectKey): AdaptletError =>
  new AdaptletError('MODEL_NOT_FOUND', `this runtime has no adapter ${key}`);

/** The reason of an aborted signal as an error of the catalogue. */
export const reasonOf = (signal: AbortSignal): AdaptletError =>
  signal.reason instanceof AdaptletError
    ? signal.reason
    : new AdaptletError('REQUEST_CANCELLED', 'the caller went away', { cause: signal.reason });

/** Leases, and those who wait for one. */
export class Requests {
  readonly #core: Core;
  readonly #ram: Ram;
  readonly #work: Work;
  #waiting = 0;

  constructor(core: Core, ram: Ram, work: Work) {
    this.#core = core;
    this.#ram = ram;
    this.#work = work;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** A lease when the adapter is Resident with this content; undefined when it would have to be waited for. */
  tryAcquire(key: ObjectKey, digest: Digest | undefined): Lease | undefined {
    const entry = this.#core.entries.get(key);
    if (entry?.state.kind !== 'Resident') return undefined;
    if (digest !== undefined && digest !== entry.state.digest) return undefined;
    return this.#lease(entry);
  }

  async acquire(key: ObjectKey, digest: Digest | undefined, signal: AbortSignal): Promise<Lease> {
    if (signal.aborted) throw reasonOf(signal);
    const ready = this.tryAcquire(key, digest);
    if (ready !== undefined) return ready;
    const entry = this.#known(key);
    if (entry.digest !== undefined) checkDigest(entry, digest);
    return this.#wait(entry, 'request', signal, (arrived) => {
      checkDigest(arrived, digest);
      return this.#lease(arrived);
    });
  }

  /** Waits until the adapter is Resident. A failure that is waiting for its next try is tried at once. */
  async preload(key: ObjectKey, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw reasonOf(signal);
    const entry = this.#known(key);
    if (entry.state.kind === 'Resident') return;
    entry.retryAt = 0;
    await this.#wait(entry, 'preload', signal, () => undefined);
  }

  #known(key: ObjectKey): Entry {
    const entry = this.#core.entries.get(key);
    if (entry === undefined) throw unknownAdapter(key);
    return entry;
  }

  #wait<T>(entry: Entry, kind: Waiter['kind'], signal: AbortSignal, take: (arrived: Entry) => T): Promise<T> {
    this.#admit(entry);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const end = () => {
      this.#waiting -= 1;
      signal.removeEventListener('abort', abort);
    };
    const waiter: Waiter = {
      kind,
      seq: this.#core.tick(),
      granted: (arrived) => {
        end();
        try {
          resolve(take(arrived));
        } catch (error) {
          reject(error);
        }
      },
      refused: (error) => {
        end();
        reject(error);
      },
    };
    const abort = () => {
      // The adapter may have been replaced by another object of the same name, which took over who waited.
      entry.waiters.delete(waiter);
      this.#core.entries.get(entry.key)?.waiters.delete(waiter);
      waiter.refused(reasonOf(signal));
      this.#ram.pump();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#waiting += 1;
    entry.evictedByHand = false;
    entry.prefetch = undefined;
    entry.waiters.add(waiter);
    this.#ram.pump();
    this.#work.kick(entry);
    return promise;
  }

  #admit(entry: Entry): void {
    const { engine, clock, maxWaiting = 1024 } = this.#core.options;
    if (this.#work.closed || engine.state === 'closed') {
      throw closing('this runtime is stopping');
    }
    if (entry.state.kind === 'Failed' && !this.#work.mayTry(entry) && entry.job === undefined) {
      const { code, message, retry } = entry.state.failure;
      const wait = retry === 'Backoff' ? Math.max(0, entry.retryAt - clock.monotonic()) : undefined;
      throw notAvailable(entry, code, message, wait);
    }
    if (this.#waiting < maxWaiting) return;
    const error = new AdaptletError(
      'QUEUE_FULL',
      `${this.#waiting} requests wait for adapters to be loaded`,
      {
        retryAfterMs: 1_000,
      },
    );
    if (!this.#makeWay(namespaceOf(entry.key), error)) throw error;
  }

  /** The newest one of the namespace with most that wait goes, unless that is the newcomer's own. */
  #makeWay(newcomer: string, error: AdaptletError): boolean {
    const waiting = Map.groupBy(this.#requestsThatWait(), ({ entry }) => namespaceOf(entry.key));
    const most = [...waiting.values()].toSorted((a, b) => b.length - a.length)[0] ?? [];
    if (most.length <= (waiting.get(newcomer)?.length ?? 0) + 1) return false;
    const last = most.reduce((newest, one) => (one.waiter.seq > newest.waiter.seq ? one : newest));
    last.entry.waiters.delete(last.waiter);
    last.waiter.refused(error);
    this.#ram.pump();
    return true;
  }

  *#requestsThatWait(): Generator<{ readonly entry: Entry; readonly waiter: Waiter }> {
    for (const entry of this.#core.entries.values()) {
      for (const waiter of entry.waiters) if (waiter.kind === 'request') yield { entry, waiter };
    }
  }

  /** The adapter is Resident: everyone who waits gets it, before anyone can evict it again. */
  arrived(entry: Entry): void {
    entry.attempts = 0;
    entry.engineDeaths = 0;
    entry.warm = false;
    entry.blocked = false;
    entry.wasResident = true;
    entry.note = '';
    const { prefetch } = entry;
    if (prefetch === undefined) this.#core.touched(entry);
    else this.#core.prefetched.brought(entry, 'ram', entry.charge);
    const waiters = [...entry.waiters];
    entry.waiters.clear();
    // Someone means to use it soon; a request counts when it gets its lease.
    if (prefetch === undefined && !waiters.some(({ kind }) => kind === 'request')) this.#core.used(entry);
    for (const waiter of waiters) waiter.granted(entry);
    this.#ram.pump();
  }

  #lease(entry: Entry): Lease {
    const { state, key } = entry;
    if (state.kind !== 'Resident') throw notAvailable(entry, state.kind, 'it is not resident');
    const { life } = this.#core;
    let open = true;
    entry.references += 1;
    this.#core.used(entry);
    return {
      engineName: state.engineName,
      key,
      name: key.slice(key.indexOf('/') + 1),
      digest: state.digest,
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        // Of an engine process that ended: nothing is counted for it any more.
        if (this.#core.life !== life) return;
        entry.references -= 1;
        this.#core.touched(entry);
        this.#ram.released(entry);
      },
    };
  }
}

const checkDigest = (entry: Entry, asked: Digest | undefined): void => {
  if (asked === undefined || asked === entry.digest) return;
  const here = entry.digest === undefined ? 'unknown' : shortDigest(entry.digest);
  throw new AdaptletError(
    'ADAPTER_NOT_AVAILABLE',
    `adapter ${entry.key} has the digest ${here} here, asked was ${shortDigest(asked)}`,
  );
};
