import type { Digest, ObjectKey } from '../../api/names.ts';
import type { Arm } from './serving.ts';

/** Requests answered by each side. */
export type Served = { readonly stable: number; readonly canary: number };

/** What the plan said of a rollout when a request was routed. */
export type SplitAtRequest = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly canaryDigest: Digest | '';
  readonly weight: number;
  /** While the canary had requests here: what the request counts for when the arms are compared. */
  readonly counted?: CountedAs;
};

export type CountedAs = {
  readonly attempt: number;
  /** Percent that the canary really had on this node, above 0. */
  readonly weight: number;
  /** Hash bucket of who asked. */
  readonly bucket: number;
};

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

  of(rollout: ObjectKey): Served {
    return this.#totals.get(rollout) ?? none;
  }

  /** While this canary (or none, '') had this weight. */
  while(uid: string, canaryDigest: Digest | '', weight: number): Served {
    return this.#bySplit.get(uid)?.get(`${canaryDigest} ${weight}`) ?? none;
  }

  /** Forgets rollouts that are no longer in the plan. */
  keep(uids: ReadonlySet<string>, keys: ReadonlySet<ObjectKey>): void {
    for (const uid of this.#bySplit.keys()) if (!uids.has(uid)) this.#bySplit.delete(uid);
    for (const key of this.#totals.keys()) if (!keys.has(key as ObjectKey)) this.#totals.delete(key);
  }
}
