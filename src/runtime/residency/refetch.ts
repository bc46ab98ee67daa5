import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Core } from './core.ts';
import type { DiskRoom } from './disk-room.ts';
import type { Entry } from './entry.ts';
import { isOnDisk } from './lifecycle.ts';
import { withLimit } from './limit.ts';

/** Between tries, in milliseconds: sources may be away for days. */
const delays = { firstMs: 5_000, maxMs: 600_000 };

/**
 * Brings back what rotted on the disk while its adapter is in service, so that the next start has it. The adapter stays what it is
 * meanwhile: in RAM it serves on, and its compiled file is used as before.
 *
 * Guarantee: one artifact after the other; a source that is away holds up nothing but the rest of them.
 */
export class Refetch {
  readonly #core: Core;
  readonly #room: DiskRoom;
  readonly #lost = new Set<Digest>();
  readonly #stop = new AbortController();
  #failures = 0;
  #running: Promise<void> | undefined;
  #cancel: (() => void) | undefined;

  constructor(core: Core, room: DiskRoom) {
    this.#core = core;
    this.#room = room;
  }

  /** Artifacts that are awaited back. */
  get waiting(): number {
    return this.#lost.size;
  }

  /** The store has set it aside. */
  lost(digest: Digest): void {
    this.#lost.add(digest);
    this.#next();
  }

  close(): void {
    this.#stop.abort(new AdaptletError('ENGINE_DOWN', 'this runtime is stopping'));
    this.#cancel?.();
  }

  #next(): void {
    if (this.#running !== undefined || this.#stop.signal.aborted) return;
    const [digest] = this.#lost;
    if (digest === undefined) return;
    this.#cancel?.();
    this.#running = this.#bring(digest);
  }

  async #bring(digest: Digest): Promise<void> {
    const { clock, logger, random = () => 0 } = this.#core.options;
    let delayMs = 0;
    try {
      await this.#fetchAny(this.#whoHave(digest), digest);
      this.#lost.delete(digest);
      this.#failures = 0;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#failures += 1;
      // After the others.
      this.#lost.delete(digest);
      this.#lost.add(digest);
      delayMs = backoffMs(this.#failures, random, delays);
      logger.warn(
        { err: error, digest, delayMs: Math.round(delayMs) },
        'a damaged artifact could not be fetched again; it is tried again',
      );
    } finally {
      this.#running = undefined;
    }
    if (delayMs === 0) this.#next();
    else this.#cancel = clock.after(delayMs, () => this.#next());
  }

  /** Whose states say that it is on the disk. All others fetch it when they need it. */
  #whoHave(digest: Digest): Entry[] {
    return [...this.#core.entries.values()].filter(
      (entry) => entry.digest === digest && !entry.offDisk && isOnDisk(entry.state),
    );
  }

  /**
   * From the source of one of them after the other, until one has it. Who was removed meanwhile needs it no more.
   * @throws that of the last one
   */
  async #fetchAny(entries: readonly Entry[], digest: Digest): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const entry of entries) {
      if (entry.abort.signal.aborted) continue;
      try {
        await this.#fetch(entry, digest);
        return;
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (!entry.abort.signal.aborted) failure = { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  async #fetch(entry: Entry, digest: Digest): Promise<void> {
    const { artifacts, clock, logger, fetchStallMs = 60_000 } = this.#core.options;
    if (artifacts.stored(entry.wish, digest) !== undefined) return;
    const refusal = this.#core.sourceRefusal(entry.key, entry.resource.body.source);
    if (refusal !== undefined) throw new AdaptletError('SOURCE_NOT_ALLOWED', refusal);
    try {
      const limit = {
        clock,
        ms: fetchStallMs,
        code: 'FETCH_STALLED',
        what: `the fetch of what the disk lost of adapter ${entry.key} made no progress`,
      } as const;
      const outer = AbortSignal.any([this.#stop.signal, entry.abort.signal]);
      await withLimit(limit, outer, (signal, alive) =>
        artifacts.fetch(entry.wish, digest, {
          signal,
          admit: (arrival) => this.#room.admit(entry, arrival, { signal, alive }),
          onReserved: () => this.#room.arrivals.reserved(entry),
          onProgress: alive,
          onWork: alive,
        }),
      );
      logger.info({ digest, key: entry.key }, 'a damaged artifact was fetched again');
    } finally {
      this.#room.settled(entry);
    }
  }
}
