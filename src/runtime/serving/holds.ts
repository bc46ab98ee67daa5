import type { Logger } from 'pino';
import type { Digest } from '../../api/names.ts';
import type { GuardSpec } from '../../api/rollout.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type GuardState, newGuard, observe } from '../../rollout/guard.ts';
import type { Clock } from '../../time/clock.ts';
import type { Hold } from '../state/memory.ts';
import type { Outcome } from './outcome.ts';

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

export type HoldListener = {
  /** A canary lost its traffic: the rollout has to be decided anew. */
  held(): void;
  /** What has to be remembered is now this. */
  changed(all: readonly Hold[]): void;
  readonly logger: Pick<Logger, 'warn'>;
};

/**
 * What this node does not serve any more: a canary whose guard tripped, or one that was rolled back here by hand. Kept
 * per (rollout, canary digest), so that a routine step does not undo it.
 *
 * Guarantees: `isHeld` is true from the call that trips it on; the next request already goes to stable.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #guards = new Map<string, GuardState>();
  #limits: ReadonlyMap<string, GuardSpec> = new Map();
  readonly #clock: Clock;
  readonly #listener: HoldListener;
  #engineDeaths = 0;
  /** The failures of one engine death are one failure: it may be nobody's fault. */
  readonly #deathCounted = new Map<string, number>();

  constructor(clock: Clock, remembered: readonly Hold[], listener: HoldListener) {
    this.#clock = clock;
    this.#listener = listener;
    for (const hold of remembered) this.#holds.set(idOf(hold.rolloutUid, hold.canaryDigest), hold);
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

  /** The guards of the plan in force, by uid of their rollout; holds and counts of other rollouts are forgotten. */
  setGuards(limits: ReadonlyMap<string, GuardSpec>): void {
    this.#limits = limits;
    for (const [id, hold] of this.#holds) if (!limits.has(hold.rolloutUid)) this.#holds.delete(id);
    for (const [id, guard] of this.#guards) if (!limits.has(guard.rolloutUid)) this.#guards.delete(id);
  }

  engineDied(): void {
    this.#engineDeaths++;
  }

  /** Counts the end of one canary request. */
  observe(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): void {
    const limit = this.#limits.get(rolloutUid);
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

  hold(rolloutUid: string, canaryDigest: Digest, cause: Hold['cause'], reason: string): void {
    const id = idOf(rolloutUid, canaryDigest);
    if (this.#holds.has(id)) return;
    const hold: Hold = {
      rolloutUid,
      canaryDigest,
      cause,
      reason,
      at: new Date(this.#clock.now()).toISOString(),
    };
    this.#holds.set(id, hold);
    this.#listener.logger.warn(hold, 'canary is held on this node');
    this.#listener.changed(this.all());
    this.#listener.held();
  }

  /** Forgets what is held of a rollout, and its counts. */
  release(rolloutUid: string): void {
    for (const [id, hold] of this.#holds) if (hold.rolloutUid === rolloutUid) this.#holds.delete(id);
    for (const [id, guard] of this.#guards) if (guard.rolloutUid === rolloutUid) this.#guards.delete(id);
    this.#listener.changed(this.all());
  }
}
