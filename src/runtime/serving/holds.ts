import type { Digest } from '../../api/names.ts';
import type { GuardSpec } from '../../api/rollout.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { Hold } from '../state/memory.ts';
import type { Outcome } from './outcome.ts';

const idOf = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

/**
 * What this node does not serve any more, and the guard that decides it: a canary with too many consecutive errors, or
 * one that was rolled back here by hand. Kept per (rollout, canary digest), so that a routine step does not undo it.
 *
 * Guarantees: `isHeld` is true from the call that trips it on; the next request already goes to stable.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #consecutive = new Map<string, number>();
  readonly #guards = new Map<string, GuardSpec>();
  readonly #clock: Clock;
  readonly #onHold: (hold: Hold) => void;
  /** Failures of one engine death are one failure: the death may be nobody's fault. */
  #engineDeaths = 0;
  readonly #lastDeath = new Map<string, number>();

  constructor(clock: Clock, remembered: readonly Hold[], onHold: (hold: Hold) => void) {
    this.#clock = clock;
    this.#onHold = onHold;
    for (const hold of remembered) this.#holds.set(idOf(hold.rolloutUid, hold.canaryDigest), hold);
  }

  isHeld(rolloutUid: string, digest: Digest): boolean {
    return this.#holds.has(idOf(rolloutUid, digest));
  }

  holdOf(rolloutUid: string, digest: Digest): Hold | undefined {
    return this.#holds.get(idOf(rolloutUid, digest));
  }

  all(): Hold[] {
    return [...this.#holds.values()];
  }

  /** Which guard applies to which rollout; of the plan in force. */
  setGuards(guards: Iterable<readonly [rolloutUid: string, guard: GuardSpec]>): void {
    this.#guards.clear();
    for (const [uid, guard] of guards) this.#guards.set(uid, guard);
  }

  engineDied(): void {
    this.#engineDeaths++;
  }

  /** Counts the end of one canary request. */
  observe(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): void {
    const id = idOf(rolloutUid, digest);
    if (outcome === 'neutral' || this.#holds.has(id)) return;
    if (outcome === 'success') {
      this.#consecutive.delete(id);
      return;
    }
    if (error instanceof AdaptletError && error.code === 'ENGINE_DOWN') {
      if (this.#lastDeath.get(id) === this.#engineDeaths) return;
      this.#lastDeath.set(id, this.#engineDeaths);
    }
    const errors = (this.#consecutive.get(id) ?? 0) + 1;
    this.#consecutive.set(id, errors);
    const limit = this.#guards.get(rolloutUid)?.maxConsecutiveErrors;
    if (limit === undefined || errors < limit) return;
    const last = error instanceof Error ? error.message : String(error);
    this.hold(rolloutUid, digest, 'Guard', `${errors} consecutive errors, the last one: ${last}`);
  }

  hold(rolloutUid: string, canaryDigest: Digest, cause: Hold['cause'], reason: string): void {
    const id = idOf(rolloutUid, canaryDigest);
    if (this.#holds.has(id)) return;
    const hold: Hold = { rolloutUid, canaryDigest, cause, reason, at: new Date(this.#clock.now()).toISOString() };
    this.#holds.set(id, hold);
    this.#consecutive.delete(id);
    this.#onHold(hold);
  }

  /** Forgets the hold, by `retry`; true when there was one. */
  release(rolloutUid: string, digest: Digest): boolean {
    return this.#holds.delete(idOf(rolloutUid, digest));
  }

  /** Forgets what belongs to rollouts that are gone. */
  keepOnly(rolloutUids: ReadonlySet<string>): void {
    for (const [id, hold] of this.#holds) if (!rolloutUids.has(hold.rolloutUid)) this.#holds.delete(id);
  }
}
