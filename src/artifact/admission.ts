import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { Claim } from './claims.ts';
import { digestOf } from './digest.ts';
import type { Grants } from './grants.ts';
import { blobsOf, type Descriptor, parseManifest } from './manifest.ts';
import type { ContentStore } from './store.ts';

/** What is added for a claim: a manifest that its source gave, and how blobs are read from there. */
export type Offer = {
  readonly claim: Claim;
  readonly manifest: Uint8Array;
  readonly write: WriteBlob;
  /** Digest of what the source sends for a blob. Absent: it was read whole on the way to the manifest. */
  readonly hash?: (blob: Descriptor) => Promise<Digest>;
  /** Hears that the store has set room aside for what is missing. */
  readonly onReserved?: (() => void) | undefined;
};

/** For how many milliseconds a blob is waited for that another source sends. */
export type Patience = { readonly clock: Pick<Clock, 'after'>; readonly ms: number };

/** Blobs of which it is remembered what sent or began them before their artifact is granted; others are read again. */
const maxRemembered = 4096;

/** A blob came onto the disk from another source while this one was asked. */
const notSent = new Error('a blob is on the disk that this source has not sent');

/**
 * Adds artifacts to a store that namespaces share, and grants them. A manifest lists digests, and whoever has read a digest
 * can write one down: so what is on the disk counts for a source only when it came from there. Anything else the source has
 * to send as well, and it is compared. It is asked in the order of the manifest, whatever is here.
 *
 * Guarantee: a source has sent every byte of what is granted by it, to this node.
 */
export class Admission {
  readonly #store: ContentStore;
  readonly #grants: Grants;
  readonly #patience: Patience;
  /** What has sent the blobs of artifacts that are not granted yet. */
  readonly #sent = new Map<Digest, readonly string[]>();
  /** What the partial file of a blob came from. */
  readonly #begun = new Map<Digest, string>();

  constructor(store: ContentStore, grants: Grants, patience: Patience) {
    this.#store = store;
    this.#grants = grants;
    this.#patience = patience;
  }

  /**
   * Resolves once the artifact is stored and granted, and both survive a power cut.
   * @throws as `ContentStore.add`
   */
  async add(offer: Offer, signal: AbortSignal): Promise<Digest> {
    const digest = digestOf(offer.manifest);
    const blobs = blobsOf(parseManifest(offer.manifest, this.#store.limits, digest));
    for (;;) {
      // Before the artifact is locked: a source that is slow holds up nobody who has it.
      if (this.#store.stored(digest) !== undefined)
        for (const blob of blobs) await this.#compare(blob, offer);
      try {
        return await this.#add(offer, blobs, signal);
      } catch (error) {
        if (error !== notSent) throw error;
      }
    }
  }

  async #add(offer: Offer, blobs: readonly Descriptor[], signal: AbortSignal): Promise<Digest> {
    const { claim, manifest, write, onReserved } = offer;
    const { source } = claim;
    const { clock, ms } = this.#patience;
    const added = await this.#store.add(manifest, this.#continued(source, write), signal, {
      // What it writes is no beginning of a transfer that this source could go on with.
      apart: { write, wait: (isLong) => clock.after(ms, isLong) },
      reserved: () => onReserved?.(),
      brought: ({ digest }) => {
        this.#note(digest, source);
        this.#begun.delete(digest);
      },
      found: (blob) => this.#compare(blob, offer),
      admit: async (digest) => {
        if (blobs.some((blob) => !this.#isSent(blob.digest, source))) throw notSent;
        await this.#grants.give(digest, claim);
      },
    });
    for (const blob of blobs) this.#forget(blob.digest, source);
    return added;
  }

  /** A blob that is here. */
  async #compare(blob: Descriptor, { claim, hash }: Offer): Promise<void> {
    const { digest } = blob;
    if (this.#isSent(digest, claim.source)) return;
    const found = (await hash?.(blob)) ?? digest;
    if (found !== digest) throw new AdaptletError('ARTIFACT_CORRUPT', `blob ${digest} came as ${found}`);
    this.#note(digest, claim.source);
  }

  #isSent(blob: Digest, source: string): boolean {
    if (this.#sent.get(blob)?.includes(source) === true) return true;
    return this.#store
      .usersOf(blob)
      .some((digest) => this.#grants.of(digest).some((claim) => claim.source === source));
  }

  #note(blob: Digest, source: string): void {
    const others = (this.#sent.get(blob) ?? []).filter((other) => other !== source);
    remember(this.#sent, blob, [...others, source]);
  }

  /** Its artifact is granted, which says the same. */
  #forget(blob: Digest, source: string): void {
    const others = (this.#sent.get(blob) ?? []).filter((other) => other !== source);
    if (others.length > 0) this.#sent.set(blob, others);
    else this.#sent.delete(blob);
  }

  /** Goes on where a transfer broke off, unless those bytes came from elsewhere. */
  #continued(source: string, write: WriteBlob): WriteBlob {
    return async (blob, path, have) => {
      const isOwn = this.#begun.get(blob.digest) === source;
      if (!isOwn) remember(this.#begun, blob.digest, source);
      await write(blob, path, isOwn ? have : 0);
    };
  }
}

const remember = <T>(map: Map<Digest, T>, blob: Digest, value: T): void => {
  map.delete(blob);
  map.set(blob, value);
  for (const oldest of map.keys()) {
    if (map.size <= maxRemembered) break;
    map.delete(oldest);
  }
};
