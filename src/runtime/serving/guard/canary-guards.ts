import type { Digest } from '../../../api/names.ts';
import {
  type GuardLimits,
  type GuardState,
  guardLimits,
  newGuard,
  type Observation,
  observe,
} from '../../../rollout/guard.ts';
import type { Clock } from '../../../time/clock.ts';
import type { ClassifyingStables } from './classifying-stables.ts';
import type { EngineDeaths } from './engine-deaths.ts';
import { type Holds, versionKey, type Watched } from './holds.ts';
import type { Outcome } from './outcome.ts';

export type CanaryGuardsParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly holds: Pick<Holds, 'isHeld' | 'hold'>;
  readonly deaths: EngineDeaths;
  readonly classifying: Pick<ClassifyingStables, 'hasLostHead'>;
  /** A canary answered a request. */
  readonly answered: (rolloutUid: string, digest: Digest) => void;
};

/**
 * The guards of canaries: they count how requests ended and how long they took, and hold a canary that is beyond the
 * limits of its rollout.
 *
 * Caveat: a restart forgets what was counted.
 */
export class CanaryGuards {
  readonly #parts: CanaryGuardsParts;
  readonly #guards = new Map<string, GuardState>();
  #rollouts: ReadonlyMap<string, Pick<Watched, 'guard'>> = new Map();

  constructor(parts: CanaryGuardsParts) {
    this.#parts = parts;
  }

  /** Counts the end of one canary request. The result is how it ended, as far as the canary is concerned. */
  recordResult(rolloutUid: string, digest: Digest, outcome: Outcome, error: unknown): Outcome {
    const { deaths, classifying, answered } = this.#parts;
    if (!deaths.charge(rolloutUid, digest, error)) return outcome;
    if (outcome === 'success') answered(rolloutUid, digest);
    const message = error instanceof Error ? error.message : '';
    const counted = classifying.hasLostHead(rolloutUid, error) ? 'failure' : outcome;
    this.#observe(rolloutUid, digest, { kind: 'end', outcome: counted, error: message });
    return counted;
  }

  /** Counts how long a request of either side took, while there is this canary ('': none). */
  recordLatency(rolloutUid: string, canary: Digest | '', arm: 'canary' | 'stable', ms: number): void {
    if (canary !== '') this.#observe(rolloutUid, canary, { kind: 'latency', arm, ms });
  }

  /** The rollouts of the plan in force, by uid. Another canary of a rollout is counted from nothing. */
  follow(rollouts: ReadonlyMap<string, Pick<Watched, 'guard' | 'canary'>>): void {
    this.#rollouts = rollouts;
    for (const [key, { rolloutUid, canaryDigest }] of this.#guards) {
      const rollout = rollouts.get(rolloutUid);
      const isAnother = rollout?.canary !== undefined && rollout.canary.digest !== canaryDigest;
      if (rollout === undefined || isAnother) this.#guards.delete(key);
    }
  }

  /** What was counted of one canary of the rollout, or of all, counts no more. */
  forget(rolloutUid: string, digest?: Digest): void {
    for (const [key, guard] of this.#guards) {
      if (guard.rolloutUid !== rolloutUid) continue;
      if (digest === undefined || guard.canaryDigest === digest) this.#guards.delete(key);
    }
  }

  #observe(rolloutUid: string, canary: Digest, seen: Observation): void {
    const { holds, clock } = this.#parts;
    const rollout = this.#rollouts.get(rolloutUid);
    if (rollout === undefined || holds.isHeld(rolloutUid, canary)) return;
    const key = versionKey(rolloutUid, canary);
    const before = this.#guards.get(key) ?? newGuard(rolloutUid, canary);
    const next = observe(before, seen, limitsOf(rollout.guard), clock.monotonic());
    if (next !== before) this.#guards.set(key, next);
    if (next.tripped !== undefined) holds.hold(rolloutUid, canary, 'Guard', next.tripped.reason);
  }
}

const limits = new WeakMap<Watched['guard'], GuardLimits>();

/** Read once: each request asks for them. */
const limitsOf = (guard: Watched['guard']): GuardLimits => {
  const known = limits.get(guard) ?? guardLimits(guard);
  limits.set(guard, known);
  return known;
};
