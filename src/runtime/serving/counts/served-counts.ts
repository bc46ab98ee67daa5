import type { Digest, ObjectKey } from '../../../api/names.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';
import type { Arm } from '../../routing/request.ts';

/** Requests answered by each side. */
export type Served = { readonly stable: number; readonly canary: number };

type Counts = { stable: number; canary: number };

/** Pairs of canary and weight that are kept of one rollout; the one that was counted longest ago is dropped. */
const maxSplits = 256;

const none: Served = { stable: 0, canary: 0 };

const increment = (counts: Map<string, Counts>, id: string, arm: 'stable' | 'canary'): void => {
  const found = counts.get(id) ?? { stable: 0, canary: 0 };
  found[arm]++;
  counts.delete(id);
  counts.set(id, found);
};

/**
 * Requests answered per rollout and arm since the runtime started: in all, and while the canary had one weight.
 * Cumulative, so that reports may get lost.
 */
export class ServedCounts {
  readonly #totals = new Map<string, Counts>();
  readonly #bySplit = new Map<string, Map<string, Counts>>();
  readonly #changed: () => void;

  /** `changed` is called with every count. */
  constructor(changed: () => void = () => undefined) {
    this.#changed = changed;
  }

  add({ key, uid, canaryDigest, weight }: SplitAtRequest, arm: Arm): void {
    if (arm === 'base') return;
    increment(this.#totals, key, arm);
    const bySplit = this.#bySplit.get(uid) ?? new Map<string, Counts>();
    this.#bySplit.set(uid, bySplit);
    increment(bySplit, `${canaryDigest} ${weight}`, arm);
    for (const oldest of bySplit.keys()) {
      if (bySplit.size <= maxSplits) break;
      bySplit.delete(oldest);
    }
    this.#changed();
  }

  ofRollout(rollout: ObjectKey): Served {
    return this.#totals.get(rollout) ?? none;
  }

  /** While this canary (or none, '') had this weight. */
  atWeight(uid: string, canaryDigest: Digest | '', weight: number): Served {
    return this.#bySplit.get(uid)?.get(`${canaryDigest} ${weight}`) ?? none;
  }

  /** These are no longer in the plan. */
  forget(uids: Iterable<string>, keys: Iterable<ObjectKey>): void {
    for (const uid of uids) this.#bySplit.delete(uid);
    for (const key of keys) this.#totals.delete(key);
  }
}
