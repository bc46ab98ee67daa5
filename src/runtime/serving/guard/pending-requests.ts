import type { Digest } from '../../../api/names.ts';
import { type Holds, versionKey, type Watched } from './holds.ts';

type Pending = { readonly rolloutUid: string; readonly digest: Digest; readonly cancels: Set<() => void> };

/**
 * Requests that a canary was given and has not begun to answer: they can still be taken from it.
 *
 * Guarantee: a request is cancelled at most once, and not once its answer began.
 */
export class PendingRequests {
  readonly #pending = new Map<string, Pending>();
  readonly #holds: Pick<Holds, 'isHeld'>;

  constructor(holds: Pick<Holds, 'isHeld'>) {
    this.#holds = holds;
  }

  /**
   * Calls `cancel` when the canary loses its traffic, at once where it is held already. The result removes the request: its
   * answer has begun.
   */
  add(rolloutUid: string, digest: Digest, cancel: () => void): () => void {
    if (this.#holds.isHeld(rolloutUid, digest)) {
      cancel();
      return () => undefined;
    }
    const key = versionKey(rolloutUid, digest);
    const pending = this.#pending.get(key) ?? { rolloutUid, digest, cancels: new Set() };
    this.#pending.set(key, pending);
    pending.cancels.add(cancel);
    return () => {
      pending.cancels.delete(cancel);
      if (pending.cancels.size === 0 && this.#pending.get(key) === pending) this.#pending.delete(key);
    };
  }

  /** The rollouts of the plan in force, by uid: cancels what waits for canaries that may have no requests any more. */
  follow(rollouts: ReadonlyMap<string, Pick<Watched, 'stable' | 'canary' | 'weight'>>): void {
    for (const { rolloutUid, digest } of this.#pending.values())
      if (isWithdrawn(digest, rollouts.get(rolloutUid))) this.cancel(rolloutUid, digest);
  }

  /** Cancels what waits for this canary. */
  cancel(rolloutUid: string, digest: Digest): void {
    const key = versionKey(rolloutUid, digest);
    const { cancels } = this.#pending.get(key) ?? {};
    this.#pending.delete(key);
    for (const cancel of cancels ?? []) cancel();
  }
}

/** Whether a canary may have no requests by this plan. As the new stable it may have all of them. */
const isWithdrawn = (
  digest: Digest,
  rollout: Pick<Watched, 'stable' | 'canary' | 'weight'> | undefined,
): boolean => {
  const { canary, stable, weight } = rollout ?? {};
  if (stable?.digest === digest) return false;
  return canary?.digest !== digest || weight === 0;
};
