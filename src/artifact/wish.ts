import type { Digest, ObjectKey } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { blobsOf, type Manifest, totalBytes } from './manifest.ts';
import type { ContentStore } from './store.ts';

/** For whom an artifact is asked for: an Adapter of a namespace, which has the Secret that the source names. */
export type Wish = { readonly key: ObjectKey; readonly uid: string; readonly source: Source };

export type FetchOptions = {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly receivedBytes: number; readonly totalBytes: number }) => void;
  /** Called now and then while this node works on what came: it hashes, unpacks or packs. */
  readonly onWork?: () => void;
  /**
   * Called once it is known what comes, before anything of it is written, and also for what is here; what it throws ends the
   * fetch.
   */
  readonly admit?: (arrival: Arrival) => Promise<void>;
  /** Called once the store has set room aside for what is missing. Never, where nothing is. */
  readonly onReserved?: () => void;
};

/** What a fetch brings to the disk. `missingBytes`: those that are not there yet. */
export type Arrival = { readonly digest: Digest; readonly bytes: number; readonly missingBytes: number };

/** What an artifact with this manifest brings to the store. */
export const arrivalOf = (
  store: Pick<ContentStore, 'bytesHere'>,
  manifest: Manifest,
  digest: Digest,
): Arrival => {
  const bytes = totalBytes(manifest);
  return { digest, bytes, missingBytes: Math.max(0, bytes - store.bytesHere(blobsOf(manifest))) };
};
