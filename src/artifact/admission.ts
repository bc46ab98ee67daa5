import { dirname } from 'node:path';
import type { Digest } from '../api/names.ts';
import { removeAll, syncFolder } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { Claim } from './claims.ts';
import { digestOf } from './digest.ts';
import type { Gathered } from './gathered.ts';
import type { Grants } from './grants.ts';
import { blobsOf, type Descriptor, parseManifest } from './manifest.ts';
import type { BlobSenders } from './senders.ts';
import type { ContentStore } from './store.ts';
import type { Custody } from './store-options.ts';

/** How the blobs of a source are read. */
export type Sender = {
  readonly claim: Claim;
  readonly write: WriteBlob;
  /** Digest of what the source sends for a blob. Absent: it was read whole on the way to the manifest. */
  readonly hash?: (blob: Descriptor) => Promise<Digest>;
  /** Hears that the store has set room aside for what is missing. */
  readonly onReserved?: (() => void) | undefined;
  /** Hears of each blob once it is on the disk and the source has sent it. */
  readonly onSent?: ((blob: Descriptor) => void) | undefined;
};

/** What is added for a claim: a manifest that its source gave, and how blobs are read from there. */
export type Offer = Sender & { readonly manifest: Uint8Array };

/** For how many milliseconds a blob is waited for that another source sends. */
export type Patience = { readonly clock: Pick<Clock, 'after'>; readonly ms: number };

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
  readonly #senders: BlobSenders;
  readonly #patience: Patience;

  constructor(store: ContentStore, grants: Grants, senders: BlobSenders, patience: Patience) {
    this.#store = store;
    this.#grants = grants;
    this.#senders = senders;
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

  /**
   * Brings blobs of which a manifest is still to be made.
   * @throws as `ContentStore.gather`
   */
  async gather(sender: Sender, blobs: readonly Descriptor[], signal: AbortSignal): Promise<Gathered> {
    return await this.#store.gather(blobs, this.#continued(sender), signal, this.#custody(sender));
  }

  /** Blobs that were gathered are packed: they are not remembered any more. */
  async settled(blobs: readonly Descriptor[], source: string): Promise<void> {
    for (const { digest } of blobs) await this.#senders.forget(digest, source);
  }

  async #add(offer: Offer, blobs: readonly Descriptor[], signal: AbortSignal): Promise<Digest> {
    const { claim, manifest } = offer;
    const { source } = claim;
    const added = await this.#store.add(manifest, this.#continued(offer), signal, {
      ...this.#custody(offer),
      admit: async (digest) => {
        if (blobs.some((blob) => !this.#isSent(blob.digest, source))) throw notSent;
        await this.#grants.give(digest, claim);
      },
    });
    await this.settled(blobs, source);
    return added;
  }

  #custody(sender: Sender): Omit<Custody, 'admit'> {
    const { clock, ms } = this.#patience;
    return {
      // What it writes is no beginning of a transfer that this source could go on with.
      apart: { write: sender.write, wait: (isLong) => clock.after(ms, isLong) },
      reserved: () => sender.onReserved?.(),
      brought: async (blob) => {
        await this.#senders.sent(blob, sender.claim.source);
        sender.onSent?.(blob);
      },
      found: (blob) => this.#compare(blob, sender),
    };
  }

  /** A blob that is here. */
  async #compare(blob: Descriptor, { claim, hash, onSent }: Sender): Promise<void> {
    const { digest } = blob;
    if (!this.#isSent(digest, claim.source)) {
      const found = (await hash?.(blob)) ?? digest;
      if (found !== digest) throw new AdaptletError('ARTIFACT_CORRUPT', `blob ${digest} came as ${found}`);
      await this.#senders.sent(blob, claim.source);
    }
    onSent?.(blob);
  }

  #isSent(blob: Digest, source: string): boolean {
    if (this.#senders.hasSent(blob, source)) return true;
    return this.#store
      .usersOf(blob)
      .some((digest) => this.#grants.of(digest).some((claim) => claim.source === source));
  }

  /** Goes on where a transfer broke off, unless those bytes came from elsewhere. */
  #continued({ claim: { source }, write, hash }: Sender): WriteBlob {
    return async (blob, path, have) => {
      // What lies on this disk is copied anew.
      const isOwn = hash !== undefined && this.#senders.hasBegun(blob.digest, source);
      if (!isOwn) {
        if (have > 0) {
          await removeAll(path);
          // Or a power cut could bring it back under the name of this source.
          await syncFolder(dirname(path));
        }
        await this.#senders.begin(blob, source);
      }
      await write(blob, path, isOwn ? have : 0);
    };
  }
}
