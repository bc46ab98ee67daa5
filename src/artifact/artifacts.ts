import type { Digest } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { digestOf } from './digest.ts';
import type { DiskThread } from './disk-thread.ts';
import { blobsOf, type Manifest, parseManifest, totalBytes } from './manifest.ts';
import { packFolder } from './pack.ts';
import { asChanged, checkDigest, copyPacked, resolveImport } from './path-source.ts';
import { type ImageReference, parseReference } from './reference.ts';
import { Registry, type RegistryOptions } from './registry.ts';
import type { ContentStore } from './store.ts';

type FetchOptions = {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly receivedBytes: number; readonly totalBytes: number }) => void;
  /** Called once it is known what comes, before anything of it is written; what it throws ends the fetch. */
  readonly admit?: (arrival: Arrival) => Promise<void>;
};

/** What a fetch brings to the disk. `missingBytes`: those that are not there yet. */
export type Arrival = { readonly digest: Digest; readonly bytes: number; readonly missingBytes: number };

type Fetched = { readonly digest: Digest; readonly bytes: number };

/** The content store and the sources behind it. */
export type Artifacts = {
  /**
   * Brings an artifact to the disk and verifies its digest; resolves once it survives a power cut.
   * `expected` absent: whatever the source has now.
   * @throws the artifact part of the catalogue
   */
  fetch(source: Source, expected: Digest | undefined, options: FetchOptions): Promise<Fetched>;
  /** Bytes on disk of a stored artifact, or undefined when it is not here. */
  stored(digest: Digest): { readonly bytes: number } | undefined;
  /** Folder with the artifact's files under their own names. Throws when it is not stored. */
  folder(digest: Digest): string;
  /**
   * Reads a stored artifact whole.
   * @throws ARTIFACT_CORRUPT, ARTIFACT_NOT_STORED
   */
  verify(digest: Digest, signal: AbortSignal): Promise<void>;
  remove(digest: Digest): Promise<void>;
  /** Sets a corrupt artifact aside, so that the next fetch brings it again. */
  quarantine(digest: Digest, reason: string): Promise<void>;
};

export type ArtifactsOptions = {
  readonly store: ContentStore;
  readonly disk: DiskThread;
  /** Folders below which path sources may lie. */
  readonly importRoots: readonly string[];
  readonly registry: RegistryOptions;
  /** Hears of artifacts that were set aside. */
  readonly onQuarantine?: (digest: Digest, reason: string) => void;
};

const never = new AbortController().signal;

/** Counts bytes of several blobs as one number. */
const progressOf = (total: number, report: FetchOptions['onProgress']) => {
  const received = new Map<Digest, number>();
  return (blob: Digest, bytes: number): void => {
    received.set(blob, bytes);
    report?.({ receivedBytes: [...received.values()].reduce((sum, b) => sum + b, 0), totalBytes: total });
  };
};

export const createArtifacts = (options: ArtifactsOptions): Artifacts => {
  const { store, disk } = options;
  const registry = new Registry(options.registry);

  const fetched = (digest: Digest): Fetched => ({ digest, bytes: store.stored(digest)?.bytes ?? 0 });

  const arrivalOf = (manifest: Manifest, digest: Digest): Arrival => {
    const bytes = totalBytes(manifest);
    return { digest, bytes, missingBytes: Math.max(0, bytes - store.bytesHere(blobsOf(manifest))) };
  };

  /** By digest where one is known: a tag may have moved on. When it is gone, the tag says what is there instead. */
  const manifestOf = async (image: ImageReference, expected: Digest | undefined, signal: AbortSignal) => {
    const pinned = expected ?? image.digest;
    if (pinned === undefined) return await registry.manifest(image, image.tag ?? 'latest', signal);
    try {
      return await registry.manifest(image, pinned, signal);
    } catch (error) {
      const isGone = error instanceof AdaptletError && error.code === 'ARTIFACT_NOT_FOUND';
      const now =
        isGone && image.tag !== undefined ? await registry.resolve(image, image.tag, signal) : undefined;
      if (now === undefined) throw error;
      const where = `${image.registry}/${image.repository}:${image.tag}`;
      throw new AdaptletError(
        'DIGEST_MISMATCH',
        `${where} has ${now}, pinned is ${pinned}, which is not there`,
        {
          cause: error,
        },
      );
    }
  };

  const fetchImage = async (
    text: string,
    expected: Digest | undefined,
    { signal, onProgress, admit }: FetchOptions,
  ) => {
    const image = parseReference(text);
    if (image.digest !== undefined) checkDigest(image.digest, expected, text);
    const pinned = expected ?? image.digest;
    if (pinned !== undefined && store.stored(pinned) !== undefined) return fetched(pinned);
    const bytes = await manifestOf(image, expected, signal);
    const manifest = parseManifest(bytes, store.limits, text);
    const progress = progressOf(totalBytes(manifest), onProgress);
    await admit?.(arrivalOf(manifest, digestOf(bytes)));
    const digest = await store.add(
      bytes,
      (blob, path, have) =>
        registry.blob(image, blob, { path, have }, signal, (n) => progress(blob.digest, n)),
      signal,
    );
    return fetched(digest);
  };

  const fetchFolder = async (
    path: string,
    expected: Digest | undefined,
    { signal, onProgress, admit }: FetchOptions,
  ) => {
    const folder = await resolveImport(path, options.importRoots);
    const packed = await packFolder(folder, { disk, limits: store.limits, signal });
    checkDigest(packed.digest, expected, folder);
    const progress = progressOf(packed.bytes, onProgress);
    await admit?.(arrivalOf(parseManifest(packed.manifest, store.limits, folder), packed.digest));
    const write = copyPacked(packed);
    try {
      const digest = await store.add(
        packed.manifest,
        async (blob, target, have) => {
          await write(blob, target, have);
          progress(blob.digest, blob.size);
        },
        signal,
      );
      return fetched(digest);
    } catch (error) {
      throw asChanged(error, folder);
    }
  };

  return {
    async fetch(source, expected, fetchOptions) {
      fetchOptions.signal.throwIfAborted();
      if (expected !== undefined && store.stored(expected) !== undefined) return fetched(expected);
      if (source.oci !== undefined) return await fetchImage(source.oci.image, expected, fetchOptions);
      if (source.path !== undefined) return await fetchFolder(source.path.path, expected, fetchOptions);
      throw new AdaptletError('ARTIFACT_NOT_FOUND', 'the source has neither oci nor path', {
        advice: 'Set spec.source.oci or spec.source.path.',
      });
    },
    stored: (digest) => store.stored(digest),
    folder: (digest) => store.folder(digest),
    verify: (digest, signal) => store.verify(digest, signal),
    remove: (digest) => store.remove(digest),
    async quarantine(digest, reason) {
      options.onQuarantine?.(digest, reason);
      await store.quarantine(digest, never);
    },
  };
};
