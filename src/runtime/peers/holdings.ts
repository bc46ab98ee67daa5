import type { Digest } from '../../api/names.ts';
import type { Claim } from '../../artifact/claims.ts';
import type { Grants } from '../../artifact/grants.ts';
import type { PeerDesk } from '../../artifact/peer-desk.ts';
import type { ContentStore } from '../../artifact/store.ts';

export type StoredFile = { readonly path: string; readonly bytes: number };

type Parts = {
  readonly store: Pick<ContentStore, 'blobFile' | 'usersOf' | 'stored' | 'manifest'>;
  readonly grants: Pick<Grants, 'has'>;
  readonly desk: PeerDesk;
};

/** What this node may give to others: what was granted here for the same namespace and source. */
export class PeerHoldings {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Undefined: it is not here, or not for this claim. */
  blob(claim: Claim, digest: Digest): StoredFile | undefined {
    const { store, grants, desk } = this.#parts;
    const isGranted =
      desk.hasBrought(claim, digest) || store.usersOf(digest).some((artifact) => grants.has(artifact, claim));
    return isGranted ? store.blobFile(digest) : undefined;
  }

  /** Undefined: it is not here, or not for this claim. */
  async manifest(claim: Claim, digest: Digest): Promise<Uint8Array | undefined> {
    const { store, grants } = this.#parts;
    if (store.stored(digest) === undefined || !grants.has(digest, claim)) return undefined;
    return await store.manifest(digest);
  }
}
