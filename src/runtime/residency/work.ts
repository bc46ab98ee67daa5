import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import { backoffMs } from '../../time/backoff.ts';
import { type Core, prefetchRestMs } from './core.ts';
import type { Entry, Prefetching } from './entry.ts';
import { isInRam } from './lifecycle.ts';
import type { Ram, Refused } from './ram.ts';
import { byUrgency } from './urgency.ts';

const retryDelays = { firstMs: 1_000, maxMs: 300_000 };

/** After which time an adapter that found no room, or was put out for a more urgent one, is tried again. */
const blockedMs = 30_000;

/** Why a request for this adapter is refused. */
export const notAvailable = (
  entry: Entry,
  code: string,
  what: string,
  retryAfterMs?: number,
): AdaptletError =>
  new AdaptletError(
    'ADAPTER_NOT_AVAILABLE',
    `adapter ${entry.key} cannot serve (${code}): ${what}`,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );

/** Where a prefetch was to bring it. */
const isThere = ({ state }: Entry, { to }: Prefetching): boolean =>
  state.kind === 'Resident' || (to === 'disk' && state.kind === 'Compiled');

/** Starts work on adapters, one job each, and says what follows when a job fails. */
export class Work {
  closed = false;
  readonly #core: Core;
  readonly #ram: Ram;
  readonly #run: (entry: Entry) => Promise<void>;
  readonly #rested: () => void;

  /** `rested` is told when no adapter is worked on. */
  constructor(core: Core, ram: Ram, run: (entry: Entry) => Promise<void>, rested: () => void) {
    this.#core = core;
    this.#ram = ram;
    this.#run = run;
    this.#rested = rested;
  }

  /** Starts what the goal of the adapter asks for, if that is possible now. */
  kick(entry: Entry): void {
    if (this.closed || entry.job !== undefined || entry.abort.signal.aborted || entry.reached) return;
    if (entry.parked) return;
    if (!this.mayTry(entry)) return;
    entry.blocked = false;
    this.#core.jobs += 1;
    entry.job = this.#do(entry);
  }

  /** False while the adapter is Failed and it is not time for another try. */
  mayTry(entry: Entry): boolean {
    if (entry.state.kind !== 'Failed') return true;
    return entry.state.failure.retry === 'Backoff' && this.#core.options.clock.monotonic() >= entry.retryAt;
  }

  async #do(entry: Entry): Promise<void> {
    const { prefetch } = entry;
    try {
      await this.#run(entry);
    } catch (error) {
      if (!entry.abort.signal.aborted && !this.#isGuess(entry, prefetch, error)) this.#fail(entry, error);
    }
    entry.job = undefined;
    if (prefetch !== undefined && !isThere(entry, prefetch)) {
      const restUntil = this.#core.options.clock.monotonic() + prefetchRestMs;
      entry.prefetchAt = Math.max(entry.prefetchAt, restUntil);
    }
    // What it was begun for ends with it.
    entry.prefetch = undefined;
    this.#core.jobs -= 1;
    this.kick(entry);
    if (this.#core.jobs === 0) this.#rested();
  }

  /** It failed, or made way, while nobody waited for it: it stays where it is, and who asks for it finds out anew. */
  #isGuess(entry: Entry, prefetch: Prefetching | undefined, error: unknown): boolean {
    const { logger } = this.#core.options;
    if (prefetch === undefined) return false;
    if (prefetch.stop.signal.aborted) return true;
    if (entry.prefetch === undefined || isInRam(entry.state)) return false;
    logger.info({ err: error, key: entry.key }, 'an adapter could not be prefetched');
    entry.note = '';
    return true;
  }

  #fail(entry: Entry, cause: unknown): void {
    const { clock, logger, random = () => 0 } = this.#core.options;
    const error = asAdaptletError(cause, `adapter ${entry.key}`);
    entry.note = '';
    entry.attempts += 1;
    if (isInRam(entry.state)) {
      logger.error({ err: error, key: entry.key }, 'a defect: work on an adapter failed while it was in RAM');
      return;
    }
    const { code, message, retry } = error;
    this.#core.move(entry, { kind: 'Failed', failure: { code, message, retry, since: clock.now() } });
    const { retryAfterMs = 0 } = error;
    const backoff = Math.max(backoffMs(entry.attempts, random, retryDelays), retryAfterMs);
    const delay = retry === 'Backoff' ? backoff : undefined;
    if (delay !== undefined) {
      entry.retryAt = clock.monotonic() + delay;
      entry.cancelRetry?.();
      entry.cancelRetry = clock.after(delay, () => {
        this.kick(entry);
      });
    }
    this.refuse(entry, notAvailable(entry, code, error.what, delay));
  }

  /** All who wait for the adapter get this error. */
  refuse(entry: Entry, error: AdaptletError): void {
    for (const waiter of entry.waiters) waiter.refused(error);
    entry.waiters.clear();
  }

  /** Forgets a failure: the next try starts from the beginning. */
  reset(entry: Entry, reason: string): void {
    entry.cancelRetry?.();
    entry.attempts = 0;
    entry.engineDeaths = 0;
    entry.retryAt = 0;
    if (entry.state.kind === 'Failed') this.#core.move(entry, { kind: 'Reset', reason });
  }

  /** Stays Compiled: there is no room for it. */
  noRoom(entry: Entry, { message, isLimit }: Refused): void {
    const code = isLimit ? 'NAMESPACE_ADAPTER_MEMORY' : this.#shortageOf(entry);
    const error =
      code === 'RESIDENCY_BUDGET'
        ? notAvailable(entry, code, message)
        : new AdaptletError(code, message, { retryAfterMs: blockedMs });
    this.#park(entry, error, message, 'an adapter finds no room in RAM');
  }

  /** Whether an adapter finds no room because memory is short now, or in any case. */
  #shortageOf({ bytes = 0 }: Entry): 'MEMORY_PRESSURE' | 'RESIDENCY_BUDGET' {
    const { ramBytes, options } = this.#core;
    return ramBytes < options.budgetBytes && bytes <= options.budgetBytes
      ? 'MEMORY_PRESSURE'
      : 'RESIDENCY_BUDGET';
  }

  /** Stays Remote: its namespace has no room for it on the disk. */
  noDisk(entry: Entry, error: AdaptletError): void {
    this.#park(entry, error, error.what, 'an adapter finds no room on the disk');
  }

  /** Left the disk for others, which nobody waited for. */
  offDisk(entry: Entry, reason: string): void {
    const error = notAvailable(entry, 'NAMESPACE_ADAPTER_DISK', reason, blockedMs);
    this.#park(entry, error, reason, 'an adapter leaves the disk');
  }

  /** Stays on the disk: it may not be tried now. */
  notAdmitted(entry: Entry, message: string): void {
    const error = notAvailable(entry, 'ADAPTER_ENDS_RUNTIME', message);
    this.#park(entry, error, message, 'an adapter is not loaded');
  }

  #park(entry: Entry, error: AdaptletError, reason: string, log: string): void {
    const isNews = entry.note !== reason;
    if (isNews) this.#core.options.logger.warn({ key: entry.key, reason }, log);
    entry.blocked = true;
    entry.note = reason;
    this.refuse(entry, error);
    if (isNews) this.#core.noted();
    this.#unblockLater(entry);
  }

  /** An adapter left RAM. What found no room before is tried again where it fits without putting others out. */
  ramFreed(entry: Entry): void {
    this.kick(entry);
    if (entry.blocked) this.#unblockLater(entry);
    this.roomCame();
  }

  /** There is more room in RAM. */
  roomCame(): void {
    if (this.#ram.waiting > 0) return;
    const blocked = [...this.#core.entries.values()].filter((other) => other.blocked).sort(byUrgency);
    for (const other of blocked) {
      if ((other.bytes ?? 0) <= this.#ram.free) this.#unblock(other);
    }
  }

  /** Seldom enough that a preload and a request that put each other out do not take turns all the time. */
  #unblockLater(entry: Entry): void {
    entry.cancelRetry?.();
    if (entry.abort.signal.aborted) return;
    entry.cancelRetry = this.#core.options.clock.after(blockedMs, () => {
      if (entry.blocked) this.#unblock(entry);
    });
  }

  #unblock(entry: Entry): void {
    entry.blocked = false;
    this.kick(entry);
  }

  /** After a change of the plan, of a pin or of the engine: tries everything again, the most urgent first. */
  reconsider(): void {
    for (const entry of this.#core.entries.values()) entry.blocked = false;
    this.#ram.pump();
    for (const entry of [...this.#core.entries.values()].sort(byUrgency)) this.kick(entry);
  }
}
