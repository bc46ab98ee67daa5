import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Watched } from './holds.ts';

/** The stables that were seen to classify: their canaries have to do so, too. */
export class ClassifyingStables {
  readonly #seen = new Map<string, Digest>();
  #rollouts: ReadonlyMap<string, Pick<Watched, 'stable'>> = new Map();

  /** An answer of stable was a classification. */
  record(rolloutUid: string, stable: Digest): void {
    // Sessions of the version before say nothing of this one.
    if (this.#rollouts.get(rolloutUid)?.stable?.digest !== stable) return;
    this.#seen.set(rolloutUid, stable);
  }

  /** To ask for a classification is a mistake of the caller's only where stable does not give any either. */
  hasLostHead(rolloutUid: string, error: unknown): boolean {
    if (!(error instanceof AdaptletError) || error.code !== 'CLASSIFIER_MISSING') return false;
    const stable = this.#rollouts.get(rolloutUid)?.stable?.digest;
    return stable !== undefined && this.#seen.get(rolloutUid) === stable;
  }

  /** The rollouts of the plan in force, by uid. */
  follow(rollouts: ReadonlyMap<string, Pick<Watched, 'stable'>>): void {
    this.#rollouts = rollouts;
    for (const uid of this.#seen.keys()) if (!rollouts.has(uid)) this.#seen.delete(uid);
  }
}
