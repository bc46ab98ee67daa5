import type { Logger } from 'pino';
import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../plan/resources.ts';
import { type GuardState, newGuard, type Observation, observe } from '../../rollout/guard.ts';
import { type GuardLimits, guardLimits } from '../../rollout/guard-limits.ts';
import type { Clock } from '../../time/clock.ts';
import type { Hold } from '../state/memory.ts';
import type { Outcome } from './outcome.ts';
import { Unbegun } from './unbegun.ts';

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

export type HoldListener = {
  /** A canary lost its traffic: the rollout has to be decided anew. */
  held(): void;
  /** What has to be remembered is now this. Resolves once it is, or it was logged that it is not. */
  changed(all: readonly Hold[]): Promise<void>;
  readonly logger: Pick<Logger, 'warn'>;
};

/** What holds depend on of a rollout in the plan in force. Without `weight` the canary may have requests. */
export type Watched = Pick<SplitResource['body'], 'guard' | 'stable' | 'canary'> &
  Partial<Pick<SplitResource['body'], 'weight'>>;

/**
 * What this node does not serve any more: a canary whose guard tripped, or what was rolled back here by hand. Kept per
 * (rollout, digest), so that a routine step does not undo it.
 *
 * Guarantees: `isHeld` is true from the call that trips it on; the next request already goes elsewhere, and so do those
 * that wait for the canary. What is held survives a restart; what guards have counted does not.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #guards = new Map<string, GuardState>();
  #watched: ReadonlyMap<string, Watched> = new Map();
  #limits: ReadonlyMap<string, GuardLimits> = new Map();
  readonly #unbegun = new Unbegun();
  readonly clock: Clock;
  readonly #listener: HoldListener;
  #saved: Promise<void> = Promise.resolve();
  #engineDeaths = 0;
  /** The failures of one engine death are one failure: it may be nobody's fault. */
  readonly #deathCounted = new Map<string, number>();
  /** The stable of a rollout, by uid, that was seen to classify. */
  readonly #classifiers = new Map<string, Digest>();

  constructor(clock: Clock, remembered: readonly Hold[], listener: HoldListener) {
    this.clock = clock;
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
    this.#limits = new Map([...rollouts].map(([uid, { guard }]) => [uid, guardLimits(guard)]));
    let forgot = false;
    for (const [id, hold] of this.#holds) {
      const rollout = rollouts.get(hold.rolloutUid);
      if (rollout !== undefined && !isDecidedAnew(hold, rollout)) continue;
      this.#holds.delete(id);
      this.#forgetCounts(id);
      forgot = true;
    }
    for (const [id, { rolloutUid, canaryDigest }] of this.#guards) {
      const rollout = rollouts.get(rolloutUid);
      const isAnother = rollout?.canary !== undefined && rollout.canary.digest !== canaryDigest;
      if (rollout === undefined || isAnother) this.#forgetCounts(id);
    }
    for (const uid of this.#classifiers.keys()) if (!rollouts.has(uid)) this.#classifiers.delete(uid);
    if (forgot) this.#save();
    this.#unbegun.take(({ rolloutUid, digest }) => isWithdrawn(digest, rollouts.get(rolloutUid)));
  }

  engineDied(): void {
    this.#engineDeaths++;
  }

  /** Counts the end of one canary request. */
  observe(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): void {
    const id = idOf(rolloutUid, digest);
    if (error instanceof AdaptletError && error.code === 'ENGINE_DOWN') {
      if (this.#deathCounted.get(id) === this.#engineDeaths) return;
      this.#deathCounted.set(id, this.#engineDeaths);
    }
    const message = error instanceof Error ? error.message : '';
    const seen = this.#hasLostItsHead(rolloutUid, error) ? 'failure' : outcome;
    this.#see(rolloutUid, digest, { kind: 'end', outcome: seen, error: message });
  }

  /** An answer of stable was a classification: a canary has to give such answers, too. */
  stableClassified(rolloutUid: string, stable: Digest): void {
    this.#classifiers.set(rolloutUid, stable);
  }

  /** To ask for a classification is a mistake of the caller's only where stable does not give any either. */
  #hasLostItsHead(rolloutUid: string, error: unknown): boolean {
    const isMissing = error instanceof AdaptletError && error.code === 'CLASSIFIER_MISSING';
    const stable = this.#watched.get(rolloutUid)?.stable?.digest;
    return isMissing && stable !== undefined && this.#classifiers.get(rolloutUid) === stable;
  }

  /** Counts how long a request of either side took, while there is this canary. */
  timed(rolloutUid: string, canary: Digest | '', arm: 'canary' | 'stable', ms: number): void {
    if (canary !== '') this.#see(rolloutUid, canary, { kind: 'latency', arm, ms });
  }

  #see(rolloutUid: string, canary: Digest, seen: Observation): void {
    const limits = this.#limits.get(rolloutUid);
    const id = idOf(rolloutUid, canary);
    if (limits === undefined || this.#holds.has(id)) return;
    const before = this.#guards.get(id) ?? newGuard(rolloutUid, canary);
    const next = observe(before, seen, limits, this.clock.monotonic());
    if (next !== before) this.#guards.set(id, next);
    if (next.tripped !== undefined) this.hold(rolloutUid, canary, 'Guard', next.tripped.reason);
  }

  /**
   * A canary was given a request. Calls `taken` when it is held, at once where it is already, or has no weight any more.
   * The result takes it back: the answer has begun.
   */
  given(rolloutUid: string, digest: Digest, taken: () => void): () => void {
    if (!this.isHeld(rolloutUid, digest)) return this.#unbegun.add(rolloutUid, digest, taken);
    taken();
    return () => undefined;
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
    const at = new Date(this.clock.now()).toISOString();
    const hold: Hold = { rolloutUid, digest, arm, cause, reason, at, attempt };
    this.#holds.set(id, hold);
    this.#listener.logger.warn(hold, 'an adapter is held back on this node');
    this.#save();
    this.#listener.held();
    this.#unbegun.take((from) => from.rolloutUid === rolloutUid && from.digest === digest);
  }

  /** Forgets what is held of a rollout, and its counts. */
  release(rolloutUid: string): void {
    for (const [id, hold] of this.#holds) if (hold.rolloutUid === rolloutUid) this.#holds.delete(id);
    for (const [id, guard] of this.#guards) if (guard.rolloutUid === rolloutUid) this.#forgetCounts(id);
    this.#save();
  }

  #forgetCounts(id: string): void {
    this.#guards.delete(id);
    this.#deathCounted.delete(id);
  }

  #save(): void {
    this.#saved = this.#listener.changed(this.all());
  }
}

/** Whether a canary may have no requests by this plan. As the new stable it may have all of them. */
const isWithdrawn = (digest: Digest, rollout: Watched | undefined): boolean => {
  const { canary, stable, weight } = rollout ?? {};
  if (stable?.digest === digest) return false;
  return canary?.digest !== digest || weight === 0;
};

const isDecidedAnew = ({ arm, digest, attempt }: Hold, { stable, canary }: Watched): boolean => {
  if (arm === 'stable') return stable !== undefined && stable.digest !== digest;
  if (stable?.digest === digest) return true;
  // A rollout without a canary has decided nothing about one that was held: the same may come again.
  if (canary === undefined) return false;
  return canary.digest !== digest || canary.attempt > attempt;
};
