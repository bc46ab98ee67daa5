import type { Logger } from 'pino';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { type GuardState, newGuard, type Observation, observe } from '../../../rollout/guard.ts';
import { type GuardLimits, guardLimits } from '../../../rollout/guard-limits.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Hold } from '../../state/memory.ts';
import type { End } from './breaker.ts';
import type { Outcome } from './outcome.ts';
import { PendingRequests } from './pending-requests.ts';
import { StableBreakers } from './stable-breakers.ts';

/** Longest part of an error's message that a reason quotes, in characters. */
const maxQuoted = 500;

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

export type HoldListener = {
  /** A canary lost its traffic: the rollout has to be decided anew. */
  held(): void;
  /** What has to be remembered is now this. Resolves once it is, or it was logged that it is not. */
  changed(all: readonly Hold[]): Promise<void>;
  /** A canary answered a request. */
  answered?(rolloutUid: string, digest: Digest): void;
  /** A person gave everything of a rollout free again. */
  released?(rolloutUid: string): void;
  readonly logger: Pick<Logger, 'warn'>;
};

/** What holds depend on of a rollout in the plan in force. Without `weight` the canary may have requests. */
export type Watched = Pick<SplitResource['body'], 'guard' | 'stable' | 'canary'> &
  Partial<Pick<SplitResource['body'], 'weight' | 'mirror' | 'former'>>;

/**
 * What this node does not serve any more: a canary whose guard tripped, what was rolled back here by hand, a stable that
 * fails again and again. Kept per (rollout, digest), so that a routine step does not undo it. A stable that fails is tried
 * again from time to time, and comes back when it answers.
 *
 * Guarantees: `isHeld` is true from the call that trips it on; the next request already goes elsewhere, and so do those
 * that wait for the canary. What is held survives a restart; what guards have counted does not.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #guards = new Map<string, GuardState>();
  #watched: ReadonlyMap<string, Watched> = new Map();
  #limits: ReadonlyMap<string, GuardLimits> = new Map();
  readonly #unbegun = new PendingRequests();
  readonly clock: Clock;
  readonly #listener: HoldListener;
  #saved: Promise<void> = Promise.resolve();
  #engineDeaths = 0;
  /** The failures of one engine death are one failure: it may be nobody's fault. */
  readonly #deathCounted = new Map<string, number>();
  /** The stable of a rollout, by uid, that was seen to classify. */
  readonly #classifiers = new Map<string, Digest>();
  readonly #stables: StableBreakers;

  constructor(clock: Clock, remembered: readonly Hold[], listener: HoldListener) {
    this.clock = clock;
    this.#listener = listener;
    this.#stables = new StableBreakers(clock);
    for (const hold of remembered) {
      this.#holds.set(idOf(hold.rolloutUid, hold.digest), hold);
      if (isOfBreaker(hold)) this.#stables.reopen(hold.rolloutUid, hold.digest);
    }
  }

  isHeld(rolloutUid: string, digest: Digest): boolean {
    return this.#holds.has(idOf(rolloutUid, digest));
  }

  /** As {@link isHeld}, but false while a stable that failed may be tried again. */
  isOut(rolloutUid: string, digest: Digest): boolean {
    return this.isHeld(rolloutUid, digest) && !this.#stables.isDue(rolloutUid, digest);
  }

  holdOf(rolloutUid: string, digest: Digest): Pick<Hold, 'cause' | 'reason'> | undefined {
    return this.#holds.get(idOf(rolloutUid, digest));
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
      this.#stables.keep((uid, digest) => idOf(uid, digest) !== id);
      forgot = true;
    }
    for (const [id, { rolloutUid, canaryDigest }] of this.#guards) {
      const rollout = rollouts.get(rolloutUid);
      const isAnother = rollout?.canary !== undefined && rollout.canary.digest !== canaryDigest;
      if (rollout === undefined || isAnother) this.#forgetCounts(id);
    }
    for (const uid of this.#classifiers.keys()) if (!rollouts.has(uid)) this.#classifiers.delete(uid);
    if (forgot) this.#save();
    this.#stables.keep((uid, digest) => {
      const { stable, former } = rollouts.get(uid) ?? {};
      return stable?.digest === digest || former?.digest === digest || this.isHeld(uid, digest);
    });
    this.#unbegun.take(({ rolloutUid, digest }) => isWithdrawn(digest, rollouts.get(rolloutUid)));
  }

  engineDied(): void {
    this.#engineDeaths++;
  }

  /** Counts the end of one canary request. The result is how it ended, as far as the canary is concerned. */
  observe(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): Outcome {
    if (this.#isCounted(rolloutUid, digest, error)) return outcome;
    if (outcome === 'success') this.#listener.answered?.(rolloutUid, digest);
    const message = error instanceof Error ? error.message : '';
    const seen = this.#hasLostItsHead(rolloutUid, error) ? 'failure' : outcome;
    this.#see(rolloutUid, digest, { kind: 'end', outcome: seen, error: message });
    return seen;
  }

  /** Stable, or the one before it, is given a request. True when it is held: the request tries it. */
  givenStable(rolloutUid: string, digest: Digest): boolean {
    return this.#stables.given(rolloutUid, digest);
  }

  /** Counts the end of a request that stable, or the one before it, was given. */
  observeStable(rolloutUid: string, digest: Digest, end: End, error: unknown): void {
    const limits = this.#limits.get(rolloutUid);
    if (limits === undefined || this.#isCounted(rolloutUid, digest, error)) return;
    const limit = limits.maxConsecutiveErrors;
    const became = this.#stables.ended(rolloutUid, digest, end, limit);
    if (became === 'closed') this.#lift(rolloutUid, digest);
    if (became !== 'opened') return;
    const last = error instanceof Error ? error.message.slice(0, maxQuoted) : '';
    const reason = `${limit} consecutive errors of what served as stable, the last one: ${last}`;
    this.hold(rolloutUid, digest, 'Guard', reason, { arm: 'stable' });
  }

  /** Of the end of the engine each adapter is charged with one failure. */
  #isCounted(rolloutUid: string, digest: Digest, error: unknown): boolean {
    if (!(error instanceof AdaptletError) || error.code !== 'ENGINE_DOWN') return false;
    const id = idOf(rolloutUid, digest);
    if (this.#deathCounted.get(id) === this.#engineDeaths) return true;
    this.#deathCounted.set(id, this.#engineDeaths);
    return false;
  }

  /** A stable that was held answered. */
  #lift(rolloutUid: string, digest: Digest): void {
    const hold = this.#holds.get(idOf(rolloutUid, digest));
    if (hold === undefined || !isOfBreaker(hold)) return;
    this.#holds.delete(idOf(rolloutUid, digest));
    this.#listener.logger.warn({ rolloutUid, digest }, 'an adapter that was held back answers again');
    this.#save();
    this.#listener.held();
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
    of: { readonly arm?: Hold['arm']; readonly attempt?: number } = {},
  ): void {
    const id = idOf(rolloutUid, digest);
    if (this.#holds.has(id)) return;
    const canary = this.#watched.get(rolloutUid)?.canary;
    const { arm = 'canary', attempt = canary?.digest === digest ? canary.attempt : 1 } = of;
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
    this.#stables.keep((uid) => uid !== rolloutUid);
    this.#save();
    this.#listener.released?.(rolloutUid);
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

/** It gets its traffic back by itself. */
const isOfBreaker = ({ arm, cause }: Hold): boolean => arm === 'stable' && cause === 'Guard';

const isDecidedAnew = (hold: Hold, { stable, former, canary }: Watched): boolean => {
  const { arm, digest, attempt } = hold;
  if (arm === 'stable') {
    if (stable === undefined || stable.digest === digest) return false;
    // What failed as stable is not fallen back to either, until it is tried as a canary.
    return !isOfBreaker(hold) || former?.digest !== digest || canary?.digest === digest;
  }
  if (stable?.digest === digest) return true;
  // A rollout without a canary has decided nothing about one that was held: the same may come again.
  if (canary === undefined) return false;
  return canary.digest !== digest || canary.attempt > attempt;
};
