import type { Logger } from 'pino';
import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Transition } from '../../residency/core.ts';
import type { Trial } from '../../state/memory.ts';
import type { Watched } from './holds.ts';

/** Unclean ends of the runtime in a row, each within a trial, after which the canary is taken for the cause. */
export const mostEnds = 3;
/** How long a canary answers, in milliseconds, before it is committed; and how long it is Resident before ends are forgotten. */
export const bakeMs = 60_000;
/** When a record that the disk did not take is tried again, in milliseconds. */
const retryMs = 30_000;

export type TrialsParts = {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  /** Resolves once all of them, or newer ones, survive a power cut. */
  readonly write: (trials: readonly Trial[]) => Promise<void>;
  readonly isHeld: (rolloutUid: string, digest: Digest) => boolean;
};

type Arms = Pick<Watched, 'stable' | 'canary' | 'weight' | 'mirror'>;

/** What is known of the canary of one rollout beside its record. */
type Entry = {
  trial: Trial;
  /** The disk says that it is tried: only then may it be. */
  isDurable: boolean;
  hasAnswered: boolean;
  cancel: (() => void)[];
};

/**
 * Trial and commit of canaries: finds the adapter that takes the whole runtime with it, which nobody can report.
 *
 * Guarantees: before a canary is compiled or loaded here, or answers its first request, the disk says that it is tried. A
 * runtime that starts and finds such a record, without the word of a shutdown, counts an end; after {@link mostEnds} in a
 * row the canary is a suspect, and is not admitted any more while it is held. What was committed is never counted again.
 * Assumes: `follow` comes after that of the holds.
 */
export class Trials {
  readonly #entries = new Map<string, Entry>();
  readonly #parts: TrialsParts;
  #rollouts: ReadonlyMap<string, Arms> = new Map();
  /** uids of the Adapters that are Resident. */
  readonly #resident = new Set<string>();
  readonly #started = Promise.withResolvers<void>();
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(remembered: readonly Trial[], parts: TrialsParts) {
    this.#parts = parts;
    for (const found of remembered) {
      const ended = found.state === 'OnTrial';
      const trial: Trial = ended ? { ...found, state: 'Idle', ends: found.ends + 1 } : found;
      this.#entries.set(found.rolloutUid, newEntry(trial));
      if (ended)
        parts.logger.warn(trial, 'the runtime ended without a shutdown while this canary was on trial');
    }
  }

  /** Canaries that are to be held. */
  suspects(): { readonly trial: Trial; readonly reason: string }[] {
    return this.all()
      .filter(({ ends }) => ends >= mostEnds)
      .map((trial) => ({ trial, reason: reasonOf(trial) }));
  }

  all(): Trial[] {
    return [...this.#entries.values()].map(({ trial }) => trial);
  }

  /** The runtime answers requests: from here on its end is a shutdown or is not one. Canaries wait for this. */
  start(): void {
    this.#started.resolve();
  }

  /**
   * Asks whether an adapter may be compiled and loaded, and resolves when it may: undefined, or why it may not be now.
   */
  async admit(adapterUid: string, digest: Digest): Promise<string | undefined> {
    if (this.#canariesOf(adapterUid, digest).length === 0) return undefined;
    await this.#started.promise;
    if (this.#isClosed) return 'this runtime is stopping';
    for (const [uid, { attempt }] of this.#canariesOf(adapterUid, digest)) {
      const { trial } = this.#entries.get(uid) ?? {};
      if (this.#parts.isHeld(uid, digest)) {
        if (trial?.digest === digest && trial.ends >= mostEnds) return reasonOf(trial);
      } else if (!(await this.#open(uid, digest, attempt)))
        return 'the disk does not take the record of its trial';
    }
    return undefined;
  }

  /** True while a canary must not answer: the disk does not say yet that it is tried. */
  isPending(rolloutUid: string, digest: Digest): boolean {
    if (this.#isClosed || this.#rollouts.get(rolloutUid)?.canary?.digest !== digest) return false;
    const entry = this.#entries.get(rolloutUid);
    return entry?.trial.digest !== digest || !(entry.trial.state === 'Committed' || entry.isDurable);
  }

  /** The rollouts of the plan in force, by uid. */
  follow(rollouts: ReadonlyMap<string, Arms>): void {
    this.#rollouts = rollouts;
    for (const [uid, { trial }] of this.#entries) {
      const { stable, canary } = rollouts.get(uid) ?? {};
      if (stable?.digest === trial.digest) this.#commit(uid);
      else if (this.#parts.isHeld(uid, trial.digest)) continue;
      else if (canary?.digest !== trial.digest || canary.attempt !== trial.attempt) this.#drop(uid);
    }
    this.#cover();
  }

  /** A canary answered a request. */
  answered(rolloutUid: string, digest: Digest): void {
    const entry = this.#entries.get(rolloutUid);
    if (entry?.trial.digest !== digest || entry.trial.state !== 'OnTrial' || entry.hasAnswered) return;
    entry.hasAnswered = true;
    entry.cancel.push(this.#parts.clock.after(bakeMs, () => this.#commit(rolloutUid)));
  }

  /** An adapter changed its state. */
  transition({ uid: adapterUid, from, to, cause }: Pick<Transition, 'uid' | 'from' | 'to' | 'cause'>): void {
    if (to === 'Resident') this.#resident.add(adapterUid);
    else if (from === 'Resident') this.#resident.delete(adapterUid);
    for (const [uid, entry] of this.#entries) {
      const { stable, canary } = this.#rollouts.get(uid) ?? {};
      if (canary?.uid !== adapterUid && stable?.uid !== adapterUid) continue;
      if (from === 'Resident' || to === 'Resident') stopTimers(entry);
      if (to === 'Resident') this.#bake(uid, entry);
      if (to === 'Failed' || to === 'Remote') this.#idle(entry);
      // Where adapters take turns in RAM, it is back soon: the disk is not to be written with each turn.
      if (cause === 'Unloaded') entry.cancel.push(this.#parts.clock.after(bakeMs, () => this.#idle(entry)));
    }
    if (to === 'Resident') this.#cover();
  }

  /** A person has a rollout tried again here: what ended counts no more. */
  forget(rolloutUid: string): void {
    this.#drop(rolloutUid);
    this.#cover();
  }

  /** The runtime is shut down: what ends from here on is nobody's fault. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    for (const entry of this.#entries.values()) {
      stopTimers(entry);
      if (entry.trial.state === 'OnTrial') setState(entry, 'Idle');
    }
    await this.#write();
  }

  /** Rollouts whose canary this is, where it is the stable one of none: that one was trusted before. */
  #canariesOf(adapterUid: string, digest: Digest): [uid: string, { readonly attempt: number }][] {
    const isIt = (bound: Arms['stable']): boolean => bound?.uid === adapterUid && bound.digest === digest;
    const all = [...this.#rollouts];
    if (all.some(([, { stable }]) => isIt(stable))) return [];
    return all.flatMap(([uid, { canary }]) => (canary !== undefined && isIt(canary) ? [[uid, canary]] : []));
  }

  /** Canaries that are Resident already when they are given traffic. */
  #cover(): void {
    if (this.#isClosed) return;
    for (const [uid, { canary, weight = 0, mirror = 0 }] of this.#rollouts) {
      if (canary === undefined || weight + mirror === 0 || !this.#resident.has(canary.uid)) continue;
      if (!this.#parts.isHeld(uid, canary.digest)) void this.#open(uid, canary.digest, canary.attempt);
    }
  }

  /** Resolves when the disk says that it is tried; false when it does not take that. */
  async #open(uid: string, digest: Digest, attempt: number): Promise<boolean> {
    const known = this.#entries.get(uid);
    const isKnown = known?.trial.digest === digest && known.trial.attempt === attempt;
    const isResident = this.#resident.has(this.#rollouts.get(uid)?.canary?.uid ?? '');
    if (isKnown && !isResident) stopTimers(known);
    if (isKnown && (known.trial.state === 'Committed' || known.isDurable)) return true;
    const entry = isKnown ? known : newEntry({ rolloutUid: uid, digest, attempt, state: 'OnTrial', ends: 0 });
    if (known !== undefined && !isKnown) stopTimers(known);
    this.#entries.set(uid, entry);
    const isFirst = !isKnown || entry.trial.state !== 'OnTrial';
    setState(entry, 'OnTrial');
    if (isFirst && isResident) this.#bake(uid, entry);
    if (!(await this.#write())) {
      this.#cancelRetry?.();
      this.#cancelRetry = this.#parts.clock.after(retryMs, () => this.#cover());
      return false;
    }
    if (entry.trial.state === 'OnTrial') entry.isDurable = true;
    return this.#entries.get(uid) === entry;
  }

  /** It is Resident: when it stays so, the ends before were of something else. */
  #bake(uid: string, entry: Entry): void {
    entry.cancel.push(
      this.#parts.clock.after(bakeMs, () => {
        if (this.#entries.get(uid) !== entry || entry.trial.ends === 0) return;
        entry.trial = { ...entry.trial, ends: 0 };
        void this.#write();
      }),
    );
  }

  #commit(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined || entry.trial.state === 'Committed') return;
    stopTimers(entry);
    setState(entry, 'Committed');
    entry.trial = { ...entry.trial, ends: 0 };
    void this.#write();
  }

  #idle(entry: Entry): void {
    if (entry.trial.state !== 'OnTrial') return;
    stopTimers(entry);
    setState(entry, 'Idle');
    void this.#write();
  }

  #drop(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    stopTimers(entry);
    this.#entries.delete(uid);
    void this.#write();
  }

  async #write(): Promise<boolean> {
    const { write, logger } = this.#parts;
    try {
      await write(this.all());
      return true;
    } catch (error) {
      logger.error({ err: error }, 'the record of trials could not be written to disk');
      return false;
    }
  }
}

const newEntry = (trial: Trial): Entry => ({ trial, isDurable: false, hasAnswered: false, cancel: [] });

const setState = (entry: Entry, state: Trial['state']): void => {
  entry.trial = { ...entry.trial, state };
  if (state === 'Idle') entry.isDurable = false;
};

const stopTimers = (entry: Entry): void => {
  for (const cancel of entry.cancel) cancel();
  entry.cancel = [];
  entry.hasAnswered = false;
};

const reasonOf = ({ ends }: Trial): string =>
  `the runtime ended ${ends} times in a row, without a shutdown, while this adapter was on trial`;
