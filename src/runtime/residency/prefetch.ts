import type { ObjectKey } from '../../api/names.ts';
import type { Core, PrefetchOptions } from './core.ts';
import type { Entry } from './entry.ts';
import { reloadMs } from './eviction-policy.ts';
import type { Ram } from './ram.ts';
import { verdictKey } from './validation.ts';
import type { Work } from './work.ts';

/** Adapters that are expected and not looked at yet; of more the oldest is forgotten. */
const maxExpected = 32;

export type PrefetchParts = {
  readonly core: Core;
  readonly ram: Ram;
  readonly work: Work;
  /** Requests and preloads that wait for an adapter. */
  readonly waiting: () => number;
};

/**
 * Brings adapters nearer before they are asked for: what is expected to the disk, and into RAM; then into RAM that is
 * free what was used before and is worth most there.
 *
 * Guarantees: nothing leaves for a guess, and what came by one leaves before what was used; one at a time, while nobody waits
 * and no adapter is worked on; a download makes way for one that somebody needs. Nothing is loaded into the engine that
 * did not pass its tests on this node before. A prefetch that fails changes no answer.
 */
export class Prefetch {
  readonly #parts: PrefetchParts;
  readonly #options: PrefetchOptions | undefined;
  /** The likeliest last. */
  readonly #expected = new Set<ObjectKey>();
  #current: Entry | undefined;

  constructor(parts: PrefetchParts) {
    this.#parts = parts;
    this.#options = parts.core.options.prefetch;
  }

  get isOn(): boolean {
    return this.#options !== undefined;
  }

  /** These may be asked for soon, the likeliest first. */
  expect(keys: readonly ObjectKey[]): void {
    if (!this.isOn) return;
    const { entries } = this.#parts.core;
    for (const key of keys.toReversed()) {
      const entry = entries.get(key);
      if (entry === undefined || this.#reach(entry) === undefined) continue;
      this.#expected.delete(key);
      this.#expected.add(key);
    }
    for (const key of this.#expected) {
      if (this.#expected.size <= maxExpected) break;
      this.#expected.delete(key);
    }
    if (this.#isQuiet()) this.#beginExpected();
  }

  /** To be called when nothing is worked on any more. */
  next(): void {
    if (!this.#isQuiet() || this.#beginExpected()) return;
    const entry = this.#worthMost();
    if (entry !== undefined) this.#begin(entry, 'ram');
  }

  #isQuiet(): boolean {
    const { core, ram, work, waiting } = this.#parts;
    return this.isOn && !work.closed && core.jobs === 0 && ram.waiting === 0 && waiting() === 0;
  }

  #beginExpected(): boolean {
    const { core } = this.#parts;
    for (const key of [...this.#expected].toReversed()) {
      this.#expected.delete(key);
      const entry = core.entries.get(key);
      const to = entry && this.#reach(entry);
      if (entry !== undefined && to !== undefined && this.#begin(entry, to)) return true;
    }
    return false;
  }

  /** A download that nobody waits for makes way. */
  makeWay(fetching: Entry): void {
    const current = this.#current;
    if (current === undefined || current === fetching) return;
    const { kind } = current.state;
    if (kind === 'Remote' || kind === 'Fetching') current.prefetch?.stop.abort();
  }

  #begin(entry: Entry, to: 'disk' | 'ram'): boolean {
    entry.blocked = false;
    entry.prefetch = { to, stop: new AbortController() };
    this.#current = entry;
    this.#parts.work.kick(entry);
    if (entry.job !== undefined) return true;
    entry.prefetch = undefined;
    return false;
  }

  /** How far it may be brought; undefined: it is there, or nothing is to be done for it now. */
  #reach(entry: Entry): 'disk' | 'ram' | undefined {
    const { state, digest, wish, resource } = entry;
    if (!this.#isIdle(entry)) return undefined;
    if (state.kind === 'Compiled') return this.#isLoadable(entry) ? 'ram' : undefined;
    if (state.kind !== 'Remote' && state.kind !== 'Stored') return undefined;
    if (!entry.planned && digest === undefined && !this.#parts.core.strangers.mayGuess(entry))
      return undefined;
    const { artifacts, diskFree = () => Infinity } = this.#parts.core.options;
    // Known to find no room for its compiled file: it would be read in vain.
    if ((entry.compiledBytes ?? 0) > diskFree()) return undefined;
    const isHere =
      resource.body.source.path !== undefined ||
      (digest !== undefined && !entry.offDisk && artifacts.stored(wish, digest) !== undefined);
    // Only a registry says how much will come before it does.
    if (!isHere && (this.#options?.downloads !== true || resource.body.source.oci === undefined))
      return undefined;
    return this.#isLoadable(entry) ? 'ram' : 'disk';
  }

  /** Nobody works on it, holds it back, or found no room for it; and it was not prefetched in vain a moment ago. */
  #isIdle(entry: Entry): boolean {
    const { job, evictedByHand, wantedInRam, refused, blocked, note, abort, prefetchAt } = entry;
    const isHeldBack = evictedByHand || wantedInRam || refused !== undefined || (blocked && note !== '');
    const { clock } = this.#parts.core.options;
    return job === undefined && !isHeldBack && !abort.signal.aborted && clock.monotonic() >= prefetchAt;
  }

  /** The engine had it before, and there is room that nobody has: while memory is short, keys and values may need that. */
  #isLoadable({ digest, bytes, resource, pinned }: Entry): boolean {
    const { core, ram } = this.#parts;
    const { engine, verdicts, budgetBytes, oneAdapter = false } = core.options;
    if (core.ramBytes < budgetBytes) return false;
    // It would never leave again.
    if (pinned) return false;
    if (oneAdapter || digest === undefined || engine.state !== 'ready') return false;
    if ((bytes ?? 1) > ram.free) return false;
    return verdicts.get(verdictKey(digest, engine.info(), resource.body.validation)) !== undefined;
  }

  /** Of what was brought into RAM a ninth at least was used, or no more than all of RAM was not. */
  #pays(): boolean {
    const { prefetched, options } = this.#parts.core;
    const { broughtBytes, wastedBytes } = prefetched.totals.ram;
    return wastedBytes <= options.budgetBytes + 8 * (broughtBytes - wastedBytes);
  }

  /** Of those that were used and are on the disk. */
  #worthMost(): Entry | undefined {
    const { core, ram } = this.#parts;
    const { free } = ram;
    if (free <= 0 || !this.#pays()) return undefined;
    const worth = ({ key, bytes = 0 }: Entry): number =>
      core.policy.worth({ key, bytes, reloadMs: reloadMs(bytes) });
    return [...core.entries.values()]
      .filter(
        (entry) => entry.state.kind === 'Compiled' && entry.lastUse > 0 && (entry.bytes ?? Infinity) <= free,
      )
      .map((entry) => ({ entry, worth: worth(entry) }))
      .sort((a, b) => b.worth - a.worth || b.entry.lastUse - a.entry.lastUse)
      .find(({ entry }) => this.#isIdle(entry) && this.#isLoadable(entry))?.entry;
  }
}
