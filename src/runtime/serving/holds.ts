import type { Logger } from 'pino';
import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../plan/resources.ts';
import { type GuardState, newGuard, observe } from '../../rollout/guard.ts';
import type { Clock } from '../../time/clock.ts';
import type { Hold } from '../state/memory.ts';
import type { Outcome } from './outcome.ts';

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

export type HoldListener = {
  /** A canary lost its traffic: the rollout has to be decided anew. */
  held(): void;
  /** What has to be remembered is now this. Resolves once it is, or it was logged that it is not. */
  changed(all: readonly Hold[]): Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
};

/** What holds depend on of a rollout in the plan in force. */
export type Watched = Pick<SplitResource['body'], 'guard' | 'stable' | 'canary'>;

/**
 * What this node does not serve any more: a canary whose guard tripped, or what was rolled back here by hand. Kept per
 * (rollout, digest), so that a routine step does not undo it.
 *
 * Guarantees: `isHeld` is true from the call that trips it on; the next request already goes elsewhere.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #guards = new Map<string, GuardState>();
  #watched: ReadonlyMap<string, Watched> = new Map();
  readonly #clock: Clock;
  readonly #listener: HoldListener;
  #saved: Promise<void> = Promise.resolve();
  #engineDeaths = 0;
  /** The failures of one engine death are one failure: it may be nobody's fault. */
  readonly #deathCounted = new Map<string, number>();

  constructor(clock: Clock, remembered: readonly Hold[], listener: HoldListener) {
    this.#clock = clock;
    this.#listener = listener;
    for (const hold of remembered) this.#holds.set(idOf(hold.rolloutUid, hold.digest), hold);
  }

  isHeld(rolloutUid: string, digest: Digest): boolean {
    return this.#holds.has(idOf(rolloutUid, digest));
  }

  of(rolloutUid: string): Hold[] {
    return this.all().filter((hold) => hold.rolloutUid === rolloutUid);
  }

  all(): Hold[] {
    return [...this.#holds.values()];
  }

  /** Resolves once what is held now is remembered. */
  saved(): Promise<void> {
    return this.#saved;
  }

  /**
   * The rollouts of the plan in force, by uid. Forgets holds and counts of other rollouts, and those that were decided
   * anew: a canary gives way to another one, becomes stable or is tried again; a held stable gives way to another one.
   */
  follow(rollouts: ReadonlyMap<string, Watched>): void {
    this.#watched = rollouts;
    let forgot = false;
    for (const [id, hold] of this.#holds) {
      const rollout = rollouts.get(hold.rolloutUid);
      if (rollout !== undefined && !isDecidedAnew(hold, rollout)) continue;
      this.#holds.delete(id);
      this.#guards.delete(id);
      forgot = true;
    }
    for (const [id, guard] of this.#guards) if (!rollouts.has(guard.rolloutUid)) this.#guards.delete(id);
    if (forgot) this.#save();
  }

  engineDied(): void {
    this.#engineDeaths++;
  }

  /** Counts the end of one canary request. */
  observe(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): void {
    const limit = this.#watched.get(rolloutUid)?.guard;
    const id = idOf(rolloutUid, digest);
    if (limit === undefined || this.#holds.has(id)) return;
    if (error instanceof AdaptletError && error.code === 'ENGINE_DOWN') {
      if (this.#deathCounted.get(id) === this.#engineDeaths) return;
      this.#deathCounted.set(id, this.#engineDeaths);
    }
    const message = error instanceof Error ? error.message : '';
    const next = observe(this.#guards.get(id) ?? newGuard(rolloutUid, digest), outcome, limit, message);
    this.#guards.set(id, next);
    if (next.tripped !== undefined) this.hold(rolloutUid, digest, 'Guard', next.tripped.reason);
  }

  hold(
    rolloutUid: string,
    digest: Digest,
    cause: Hold['cause'],
    reason: string,
    arm: Hold['arm'] = 'canary',
  ): void {
    const id = idOf(rolloutUid, digest);
    if (this.#holds.has(id)) return;
    const canary = this.#watched.get(rolloutUid)?.canary;
    const attempt = canary?.digest === digest ? canary.attempt : 1;
    const at = new Date(this.#clock.now()).toISOString();
    const hold: Hold = { rolloutUid, digest, arm, cause, reason, at, attempt };
    this.#holds.set(id, hold);
    this.#listener.logger.warn(hold, 'an adapter is held back on this node');
    this.#save();
    this.#listener.held();
  }

  /** Forgets what is held of a rollout, and its counts. */
  release(rolloutUid: string): void {
    for (const [id, hold] of this.#holds) if (hold.rolloutUid === rolloutUid) this.#holds.delete(id);
    for (const [id, guard] of this.#guards) if (guard.rolloutUid === rolloutUid) this.#guards.delete(id);
    this.#save();
  }

  #save(): void {
    this.#saved = this.#listener.changed(this.all());
  }
}

const isDecidedAnew = ({ arm, digest, attempt }: Hold, { stable, canary }: Watched): boolean => {
  if (arm === 'stable') return stable !== undefined && stable.digest !== digest;
  if (stable?.digest === digest) return true;
  // A rollout without a canary has decided nothing about one that was held: the same may come again.
  if (canary === undefined) return false;
  return canary.digest !== digest || canary.attempt > attempt;
};
