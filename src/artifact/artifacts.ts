import type { Digest, ObjectKey } from '../api/names.ts';
import type { OciSource, Source } from '../api/source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { DiskThread } from './disk-thread.ts';
import { parseManifest, totalBytes } from './manifest.ts';
import { packFolder } from './pack.ts';
import { asChanged, checkDigest, copyPacked, resolveImport } from './path-source.ts';
import { type ImageReference, parseReference } from './reference.ts';
import { Registry, type RegistryOptions } from './registry.ts';
import type { Login } from './registry-http.ts';
import type { ContentStore } from './store.ts';

type FetchOptions = {
  /** The adapter that it is for: its namespace has the Secret that the source names. */
  readonly key: ObjectKey;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly receivedBytes: number; readonly totalBytes: number }) => void;
};

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
  /** Who asks the registry for an adapter; undefined: the options of `registry` say it. Default: always undefined. */
  readonly loginFor?: (key: ObjectKey, source: OciSource) => Login | undefined;
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

/** By digest where one is known: a tag may have moved on. When it is gone, the tag says what is there instead. */
const manifestOf = async (
  registry: Registry,
  image: ImageReference,
  expected: Digest | undefined,
  signal: AbortSignal,
) => {
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

export const createArtifacts = (options: ArtifactsOptions): Artifacts => {
  const { store, disk } = options;
  const unnamed = new Registry(options.registry);

  const fetched = (digest: Digest): Fetched => ({ digest, bytes: store.stored(digest)?.bytes ?? 0 });

  const fetchImage = async (
    source: OciSource,
    expected: Digest | undefined,
    { key, signal, onProgress }: FetchOptions,
  ) => {
    const text = source.image;
    const image = parseReference(text);
    if (image.digest !== undefined) checkDigest(image.digest, expected, text);
    const pinned = expected ?? image.digest;
    if (pinned !== undefined && store.stored(pinned) !== undefined) return fetched(pinned);
    const login = options.loginFor?.(key, source);
    const registry = login === undefined ? unnamed : unnamed.as(login);
    const bytes = await manifestOf(registry, image, expected, signal);
    const progress = progressOf(totalBytes(parseManifest(bytes, store.limits, text)), onProgress);
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
    { signal, onProgress }: FetchOptions,
  ) => {
    const folder = await resolveImport(path, options.importRoots);
    const packed = await packFolder(folder, { disk, limits: store.limits, signal });
    checkDigest(packed.digest, expected, folder);
    const progress = progressOf(packed.bytes, onProgress);
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
      if (source.oci !== undefined) return await fetchImage(source.oci, expected, fetchOptions);
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
