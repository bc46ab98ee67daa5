import type { Logger } from 'pino';
import type { Digest } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Hold } from '../../state/memory.ts';

/** What the guard looks at of a rollout in the plan in force. Without `weight` the canary may have requests. */
export type Watched = Pick<SplitResource['body'], 'guard' | 'stable' | 'canary'> &
  Partial<Pick<SplitResource['body'], 'weight' | 'mirror' | 'former'>>;

/** A version of a rollout, as the key of a map. */
export const versionKey = (rolloutUid: string, digest: Digest): string => `${rolloutUid} ${digest}`;

export type HoldChange =
  /** From now on it is not served here. */
  | { readonly kind: 'held'; readonly hold: Hold }
  /** What failed as stable answers again. */
  | { readonly kind: 'recovered'; readonly hold: Hold }
  /** The plan decided anew about it. */
  | { readonly kind: 'superseded'; readonly hold: Hold }
  /** A person has the whole rollout tried again here. */
  | { readonly kind: 'released'; readonly rolloutUid: string };

export type HoldsParts = {
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  /** Resolves once all of them, or newer ones, survive a restart. */
  readonly write: (holds: readonly Hold[]) => Promise<void>;
};

/**
 * What this node does not serve any more: a canary whose guard tripped, what was rolled back here by hand, a stable that
 * fails again and again. Kept per (rollout, digest), so that a routine step does not undo it.
 *
 * Guarantees: `isHeld` is true from the call of `hold` on, and listeners have heard of it when that call returns; what is
 * held survives a restart.
 */
export class Holds {
  readonly #holds = new Map<string, Hold>();
  readonly #parts: HoldsParts;
  readonly #listeners = new Set<(change: HoldChange) => void>();
  #rollouts: ReadonlyMap<string, Watched> = new Map();
  #saved: Promise<void> = Promise.resolve();

  constructor(remembered: readonly Hold[], parts: HoldsParts) {
    this.#parts = parts;
    for (const hold of remembered) this.#holds.set(versionKey(hold.rolloutUid, hold.digest), hold);
  }

  /** Calls the listener within the call that changes something. The result ends that. */
  onChange(listener: (change: HoldChange) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  isHeld(rolloutUid: string, digest: Digest): boolean {
    return this.get(rolloutUid, digest) !== undefined;
  }

  get(rolloutUid: string, digest: Digest): Hold | undefined {
    return this.#holds.get(versionKey(rolloutUid, digest));
  }

  ofRollout(rolloutUid: string): Hold[] {
    return this.all().filter((hold) => hold.rolloutUid === rolloutUid);
  }

  all(): Hold[] {
    return [...this.#holds.values()];
  }

  /** Resolves once what is held now is remembered, or it was logged that it is not. */
  saved(): Promise<void> {
    return this.#saved;
  }

  /**
   * `arm` is canary, and `attempt` that of the canary in the plan, unless they are named. What is held stays as it is, but for a stable that
   * the guard held and a person rolls back: that does not recover by itself any more.
   */
  hold(
    rolloutUid: string,
    digest: Digest,
    cause: Hold['cause'],
    reason: string,
    named: { readonly arm?: Hold['arm']; readonly attempt?: number } = {},
  ): void {
    const known = this.get(rolloutUid, digest);
    if (known !== undefined && !(recoversByItself(known) && cause === 'BreakGlass')) return;
    const { clock, logger } = this.#parts;
    const canary = this.#rollouts.get(rolloutUid)?.canary;
    const { arm = 'canary', attempt = canary?.digest === digest ? canary.attempt : 1 } = named;
    const at = new Date(clock.now()).toISOString();
    const hold: Hold = { rolloutUid, digest, arm, cause, reason, at, attempt };
    this.#holds.set(versionKey(rolloutUid, digest), hold);
    logger.warn(hold, 'an adapter is held back on this node');
    this.#save();
    this.#tell({ kind: 'held', hold });
  }

  /** What failed as stable answers again. What a person rolled back stays held. */
  recover(rolloutUid: string, digest: Digest): void {
    const hold = this.get(rolloutUid, digest);
    if (hold === undefined || !recoversByItself(hold)) return;
    this.#holds.delete(versionKey(rolloutUid, digest));
    this.#parts.logger.warn({ rolloutUid, digest }, 'an adapter that was held back answers again');
    this.#save();
    this.#tell({ kind: 'recovered', hold });
  }

  /** Forgets what is held of a rollout. */
  release(rolloutUid: string): void {
    for (const { digest } of this.ofRollout(rolloutUid)) this.#holds.delete(versionKey(rolloutUid, digest));
    this.#save();
    this.#tell({ kind: 'released', rolloutUid });
  }

  /**
   * The rollouts of the plan in force, by uid. Forgets holds of other rollouts, and those that were decided anew: a canary
   * gives way to another one, becomes stable or is tried again; a held stable gives way to another one.
   */
  follow(rollouts: ReadonlyMap<string, Watched>): void {
    this.#rollouts = rollouts;
    const superseded = this.all().filter((hold) => {
      const rollout = rollouts.get(hold.rolloutUid);
      return rollout === undefined || isDecidedAnew(hold, rollout);
    });
    if (superseded.length === 0) return;
    for (const { rolloutUid, digest } of superseded) this.#holds.delete(versionKey(rolloutUid, digest));
    this.#save();
    for (const hold of superseded) this.#tell({ kind: 'superseded', hold });
  }

  #tell(change: HoldChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #save(): void {
    const { write, logger } = this.#parts;
    this.#saved = write(this.all()).catch((error: unknown) => {
      logger.error({ err: error }, 'holds could not be written to disk; a restart would forget them');
    });
  }
}

/** A circuit breaker opened: it gets its traffic back when it answers. */
export const recoversByItself = ({ arm, cause }: Hold): boolean => arm === 'stable' && cause === 'Guard';

const isDecidedAnew = (hold: Hold, { stable, former, canary }: Watched): boolean => {
  const { arm, digest, attempt } = hold;
  if (arm === 'stable') {
    if (stable === undefined || stable.digest === digest) return false;
    // What failed as stable is not fallen back to either, until it is tried as a canary.
    return !recoversByItself(hold) || former?.digest !== digest || canary?.digest === digest;
  }
  if (stable?.digest === digest) return true;
  // A rollout without a canary has decided nothing about one that was held: the same may come again.
  if (canary === undefined) return false;
  return canary.digest !== digest || canary.attempt > attempt;
};
