import type { Digest } from '../../../api/names.ts';
import { addCopyCounts, type CopyCounts, noCopyCounts } from '../../../rollout/copies.ts';

/** The canary of a rollout, in one attempt. */
export type Mirrored = { readonly uid: string; readonly digest: Digest; readonly attempt: number };

/** How a copy ended, for a counter of the runtime. Unchecked: answered, but by chance, so that nothing can be compared. */
export const mirrorResults = ['equal', 'different', 'unchecked', 'failed', 'dropped'] as const;
export type CopyResult = (typeof mirrorResults)[number];

type Counted = Mirrored & { counts: CopyCounts };

/**
 * What became of copies: of the newest attempt of each rollout, and in all since the runtime started. Cumulative, so that
 * reports may get lost; a restart counts anew.
 */
export class CopyTally {
  readonly #ofRollout = new Map<string, Counted>();
  readonly #totals = new Map<CopyResult, number>(mirrorResults.map((result) => [result, 0]));
  readonly #changed: () => void;
  readonly #isPlanned: (uid: string) => boolean;

  /** `changed` is called with every count. `isPlanned`: of a rollout that is not, a late copy counts in the totals alone. */
  constructor(changed: () => void = () => undefined, isPlanned: (uid: string) => boolean = () => true) {
    this.#changed = changed;
    this.#isPlanned = isPlanned;
  }

  add(mirrored: Mirrored, result: CopyResult, counts: Partial<CopyCounts>): void {
    const { uid, digest, attempt } = mirrored;
    const known = this.#ofRollout.get(uid);
    const isSame = known?.digest === digest && known.attempt === attempt;
    const before = isSame ? known.counts : noCopyCounts;
    if (this.#isPlanned(uid))
      this.#ofRollout.set(uid, { uid, digest, attempt, counts: addCopyCounts(before, counts) });
    this.#totals.set(result, (this.#totals.get(result) ?? 0) + 1);
    this.#changed();
  }

  /** Undefined: nothing was mirrored to it. */
  ofAttempt(uid: string, digest: string | undefined, attempt: number | undefined): CopyCounts | undefined {
    const known = this.#ofRollout.get(uid);
    return known !== undefined && known.digest === digest && known.attempt === attempt
      ? known.counts
      : undefined;
  }

  totals(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#totals);
  }

  /** These are no longer in the plan. */
  forget(uids: Iterable<string>): void {
    for (const uid of uids) this.#ofRollout.delete(uid);
  }
}
