import type { Logger } from 'pino';
import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Transition } from '../../residency/core.ts';
import type { Trial } from '../../state/memory.ts';
import { afterRestart, CanaryTrial } from './canary-trial.ts';
import type { Watched } from './holds.ts';

/** When a record that the disk did not take is tried again, in milliseconds. */
const retryMs = 30_000;
const stopping = 'this runtime is stopping';

export type TrialsParts = {
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  /** Resolves once all of them, or newer ones, survive a power cut. */
  readonly write: (trials: readonly Trial[]) => Promise<void>;
  readonly isHeld: (rolloutUid: string, digest: Digest) => boolean;
  /** Resolves once the plan in force is on the disk, or to false when that does not take it. */
  readonly planSaved: () => Promise<boolean>;
};

type Arms = Pick<Watched, 'stable' | 'canary' | 'weight' | 'mirror'>;
type Attempt = { readonly digest: Digest; readonly attempt: number };

/**
 * Trial and commit of canaries: finds the adapter that takes the whole runtime with it, which nobody can report.
 *
 * Guarantees: before a canary is compiled or loaded here, or answers its first request, the disk says that it is tried, and
 * has the plan that it is the canary of: a runtime that starts with the plan before would take the record for an old one. A
 * runtime that starts and finds such a record, without the word of a shutdown, counts an end; after as many in a row as
 * canary-trial.ts says the canary is a suspect, and is not admitted any more while it is held. What was committed is never
 * counted again.
 * Assumes: `follow` comes after that of the holds.
 */
export class Trials {
  /** By uid of the rollout. */
  readonly #trials = new Map<string, CanaryTrial>();
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
      const record = afterRestart(found);
      this.#add(record);
      if (record !== found)
        parts.logger.warn(record, 'the runtime ended without a shutdown while this canary was on trial');
    }
  }

  /** Canaries that are to be held. */
  suspects(): { readonly trial: Trial; readonly reason: string }[] {
    return [...this.#trials.values()].flatMap(({ record: trial, suspicion: reason }) =>
      reason === undefined ? [] : [{ trial, reason }],
    );
  }

  all(): Trial[] {
    return [...this.#trials.values()].map(({ record }) => record);
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
    if (this.#isClosed) return stopping;
    for (const [uid, canary] of this.#canariesOf(adapterUid, digest)) {
      const trial = this.#trials.get(uid);
      if (this.#parts.isHeld(uid, digest)) {
        if (trial?.record.digest === digest && trial.suspicion !== undefined) return trial.suspicion;
      } else if (!(await this.#try(uid, canary)))
        return this.#isClosed ? stopping : 'the disk does not take the record of its trial';
      // It is held by now, or another attempt began while that was written: it has a record of its own.
      else if (this.#trials.get(uid)?.isCovered !== true) return await this.admit(adapterUid, digest);
    }
    return undefined;
  }

  /** True while a canary must not answer: the disk does not say yet that it is tried. */
  isPending(rolloutUid: string, digest: Digest): boolean {
    if (this.#isClosed || this.#rollouts.get(rolloutUid)?.canary?.digest !== digest) return false;
    const trial = this.#trials.get(rolloutUid);
    return trial?.record.digest !== digest || !trial.isCovered;
  }

  /** The rollouts of the plan in force, by uid. */
  follow(rollouts: ReadonlyMap<string, Arms>): void {
    this.#rollouts = rollouts;
    for (const [uid, trial] of this.#trials) {
      const { stable, canary } = rollouts.get(uid) ?? {};
      const { digest } = trial.record;
      if (stable?.digest === digest) trial.commit();
      else if (this.#parts.isHeld(uid, digest)) continue;
      else if (!trial.isOf(canary)) this.#drop(uid);
    }
    this.#tryResident();
  }

  /** A canary answered a request. */
  answered(rolloutUid: string, digest: Digest): void {
    const trial = this.#trials.get(rolloutUid);
    if (trial?.record.digest === digest) trial.answered();
  }

  /** An adapter changed its state. */
  transition(transition: Pick<Transition, 'uid' | 'from' | 'to' | 'cause'>): void {
    const { uid: adapterUid, from, to } = transition;
    if (to === 'Resident') this.#resident.add(adapterUid);
    else if (from === 'Resident') this.#resident.delete(adapterUid);
    for (const [uid, trial] of this.#trials) {
      const { stable, canary } = this.#rollouts.get(uid) ?? {};
      if (canary?.uid === adapterUid || stable?.uid === adapterUid) trial.transition(transition);
    }
    if (to === 'Resident') this.#tryResident();
  }

  /** A person has a rollout tried again here: what ended counts no more. */
  forget(rolloutUid: string): void {
    this.#drop(rolloutUid);
    this.#tryResident();
  }

  /** The runtime is shut down: what ends from here on is nobody's fault. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRetry?.();
    for (const trial of this.#trials.values()) {
      trial.stopTimers();
      trial.idle();
    }
    await this.#write();
  }

  /** Rollouts whose canary this is, where it is the stable one of none: that one was trusted before. */
  #canariesOf(adapterUid: string, digest: Digest): [uid: string, canary: Attempt][] {
    const isIt = (bound: Arms['stable']): boolean => bound?.uid === adapterUid && bound.digest === digest;
    const all = [...this.#rollouts];
    if (all.some(([, { stable }]) => isIt(stable))) return [];
    return all.flatMap(([uid, { canary }]) => (canary !== undefined && isIt(canary) ? [[uid, canary]] : []));
  }

  /** Tries canaries that are Resident already when they are given traffic. */
  #tryResident(): void {
    if (this.#isClosed) return;
    for (const [uid, { canary, weight = 0, mirror = 0 }] of this.#rollouts) {
      if (canary === undefined || weight + mirror === 0 || !this.#resident.has(canary.uid)) continue;
      if (!this.#parts.isHeld(uid, canary.digest)) void this.#try(uid, canary);
    }
  }

  #isResident(uid: string): boolean {
    return this.#resident.has(this.#rollouts.get(uid)?.canary?.uid ?? '');
  }

  /** Resolves when the disk says that it is tried, or it is not to be tried any more; false when the disk does not take that. */
  async #try(uid: string, canary: Attempt): Promise<boolean> {
    const known = this.#trials.get(uid);
    const isKnown = known?.isOf(canary) === true;
    if (!isKnown || !this.#isResident(uid)) known?.stopTimers();
    const { digest, attempt } = canary;
    const trial = isKnown ? known : this.#add({ rolloutUid: uid, digest, attempt, state: 'Idle', ends: 0 });
    if (trial.isCovered) return true;
    const isSaved = await this.#parts.planSaved();
    if (this.#isClosed) return false;
    if (isSaved) {
      // The plan, or the guard, may have decided anew meanwhile.
      const isGone = this.#trials.get(uid) !== trial || this.#parts.isHeld(uid, digest);
      if (isGone || trial.isCovered) return true;
      trial.begin(this.#isResident(uid));
      if (await this.#write()) {
        trial.recorded();
        return true;
      }
    }
    this.#cancelRetry?.();
    this.#cancelRetry = this.#parts.clock.after(retryMs, () => this.#tryResident());
    return false;
  }

  #add(record: Trial): CanaryTrial {
    const trial = new CanaryTrial(record, this.#parts.clock, () => {
      if (!this.#isClosed) void this.#write();
    });
    this.#trials.set(record.rolloutUid, trial);
    return trial;
  }

  #drop(uid: string): void {
    const trial = this.#trials.get(uid);
    if (trial === undefined) return;
    trial.stopTimers();
    this.#trials.delete(uid);
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
