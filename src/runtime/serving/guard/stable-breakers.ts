import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import {
  type Breaker,
  mayTry,
  newBreaker,
  type Result,
  recordResult,
  reopened,
  startTrial,
} from './breaker.ts';
import type { EngineDeaths } from './engine-deaths.ts';
import { type Holds, recoversByItself, versionKey, type Watched } from './holds.ts';

/** Longest part of an error's message that a reason quotes, in characters. */
const maxQuoted = 500;

export type StableBreakersParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly holds: Pick<Holds, 'all' | 'isHeld' | 'hold' | 'recover'>;
  readonly deaths: EngineDeaths;
};

type Kept = { readonly rolloutUid: string; readonly digest: Digest; breaker: Breaker };

/**
 * The circuit breakers of what answers for stable: stable itself, or the one before it. While one is open its version is
 * held; from time to time a request tries it, and it comes back when it answers.
 */
export class StableBreakers {
  readonly #kept = new Map<string, Kept>();
  readonly #parts: StableBreakersParts;
  #rollouts: ReadonlyMap<string, Pick<Watched, 'guard'>> = new Map();

  /** What was held when the runtime ended is tried by the next request. */
  constructor(parts: StableBreakersParts) {
    this.#parts = parts;
    const now = parts.clock.monotonic();
    for (const { rolloutUid, digest } of parts.holds.all().filter(recoversByItself))
      this.#set(rolloutUid, digest, reopened(now));
  }

  /** True when it was taken out of service and the next request may try it. */
  mayTry(rolloutUid: string, digest: Digest): boolean {
    const breaker = this.#kept.get(versionKey(rolloutUid, digest))?.breaker;
    return breaker !== undefined && mayTry(breaker, this.#parts.clock.monotonic());
  }

  /** It is given a request. True when it was taken out of service: the request is a trial. */
  recordStart(rolloutUid: string, digest: Digest): boolean {
    const kept = this.#kept.get(versionKey(rolloutUid, digest));
    if (kept === undefined || kept.breaker.kind === 'closed') return false;
    kept.breaker = startTrial(kept.breaker, this.#parts.clock.monotonic());
    return true;
  }

  /** Counts the end of a request that it was given. */
  recordResult(rolloutUid: string, digest: Digest, result: Result, error: unknown): void {
    const { clock, holds, deaths } = this.#parts;
    const rollout = this.#rollouts.get(rolloutUid);
    if (rollout === undefined || !deaths.charge(rolloutUid, digest, error)) return;
    const limit = rollout.guard.maxConsecutiveErrors;
    const now = clock.monotonic();
    const before = this.#kept.get(versionKey(rolloutUid, digest))?.breaker ?? newBreaker(now);
    const next = recordResult(before, result, limit, now);
    if (next !== before) this.#set(rolloutUid, digest, next);
    if (before.kind !== 'closed' && next.kind === 'closed') holds.recover(rolloutUid, digest);
    if (before.kind !== 'closed' || next.kind === 'closed') return;
    const last = error instanceof Error ? error.message.slice(0, maxQuoted) : '';
    const reason = `${limit} consecutive errors of what served as stable, the last one: ${last}`;
    holds.hold(rolloutUid, digest, 'Guard', reason, { arm: 'stable' });
  }

  /** The rollouts of the plan in force, by uid. To be called after that of the holds. */
  follow(rollouts: ReadonlyMap<string, Pick<Watched, 'guard' | 'stable' | 'former'>>): void {
    this.#rollouts = rollouts;
    for (const [key, { rolloutUid, digest }] of this.#kept) {
      const { stable, former } = rollouts.get(rolloutUid) ?? {};
      if (stable?.digest === digest || former?.digest === digest) continue;
      if (!this.#parts.holds.isHeld(rolloutUid, digest)) this.#kept.delete(key);
    }
  }

  /** One version of the rollout, or all of them, begin with a breaker that is closed. */
  forget(rolloutUid: string, digest?: Digest): void {
    for (const [key, kept] of this.#kept) {
      if (kept.rolloutUid !== rolloutUid) continue;
      if (digest === undefined || kept.digest === digest) this.#kept.delete(key);
    }
  }

  #set(rolloutUid: string, digest: Digest, breaker: Breaker): void {
    this.#kept.set(versionKey(rolloutUid, digest), { rolloutUid, digest, breaker });
  }
}
