import type { Digest } from '../../../api/names.ts';

type Asked = { readonly rolloutUid: string; readonly digest: Digest; readonly taken: Set<() => void> };

/** Requests that a canary was given and has not begun to answer: they can still be taken from it. */
export class PendingRequests {
  readonly #asked = new Map<string, Asked>();

  /** Calls `taken`, once, when such requests are taken from this canary. The result takes it back: the answer has begun. */
  add(rolloutUid: string, digest: Digest, taken: () => void): () => void {
    const id = `${rolloutUid} ${digest}`;
    const asked = this.#asked.get(id) ?? { rolloutUid, digest, taken: new Set() };
    this.#asked.set(id, asked);
    asked.taken.add(taken);
    return () => {
      asked.taken.delete(taken);
      if (asked.taken.size === 0 && this.#asked.get(id) === asked) this.#asked.delete(id);
    };
  }

  /** Takes the requests of the canaries of which this is true. */
  take(from: (canary: Pick<Asked, 'rolloutUid' | 'digest'>) => boolean): void {
    for (const [id, asked] of this.#asked) {
      if (!from(asked)) continue;
      this.#asked.delete(id);
      for (const tell of asked.taken) tell();
    }
  }
}
