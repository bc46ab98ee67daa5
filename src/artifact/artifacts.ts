import { type Digest, namespaceOf, type ObjectKey } from '../api/names.ts';
import { defaultHubEndpoint, type OciSource, type Source } from '../api/source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Requirement } from '../signature/requirement.ts';
import { refuseUnreadable } from './adapter-folder.ts';
import { Admission } from './admission.ts';
import type { WriteBlob } from './blob-pool.ts';
import { folderSource, imageSource } from './claims.ts';
import { type DeltaOptions, Deltas } from './deltas.ts';
import { digestOf } from './digest.ts';
import type { DiskThread } from './disk-thread.ts';
import type { Grants } from './grants.ts';
import type { KeptBundles } from './kept-bundles.ts';
import { type Descriptor, parseManifest, totalBytes } from './manifest.ts';
import { packFolder } from './pack.ts';
import { asChanged, checkDigest, copyPacked, resolveImport } from './path-source.ts';
import type { PeerBlobs } from './peer-blobs.ts';
import { type ImageReference, parseReference } from './reference.ts';
import { Registry, type RegistryOptions } from './registry.ts';
import { type Login, RegistryHttp } from './registry-http.ts';
import { RemoteSources, remoteSource } from './remote.ts';
import type { BlobSenders } from './senders.ts';
import { checkKept, checkSigned } from './signed.ts';
import type { SourceCredential } from './source-http.ts';
import type { ContentStore } from './store.ts';
import { arrivalOf, type FetchOptions, type Wish } from './wish.ts';

type Fetched = { readonly digest: Digest; readonly bytes: number };

/** An artifact on the disk. `namespaces`: those that it is granted to. */
export type Held = {
  readonly digest: Digest;
  readonly bytes: number;
  readonly namespaces: readonly string[];
};

/**
 * The content store and the sources behind it. Namespaces share the disk and not the right to what is on it: a digest is
 * there for a namespace once its source answered a request that was made for that namespace.
 */
export type Artifacts = {
  /**
   * Brings an artifact to the disk, verifies its digest and grants it; resolves once that survives a power cut. Where it is
   * here and not granted the source is asked for no more than it has to show.
   * `expected` absent: whatever the source has now.
   * @throws the artifact part of the catalogue
   */
  fetch(wish: Wish, expected: Digest | undefined, options: FetchOptions): Promise<Fetched>;
  /** Bytes on disk of a stored artifact, or undefined when it is not here, or not granted. */
  stored(wish: Wish, digest: Digest): { readonly bytes: number } | undefined;
  /** Folder with the artifact's files under their own names. Throws when it is not stored. */
  folder(digest: Digest): string;
  /**
   * Reads a stored artifact whole.
   * @throws ARTIFACT_CORRUPT, ARTIFACT_NOT_STORED
   */
  verify(digest: Digest, signal: AbortSignal, alive?: () => void): Promise<void>;
  /**
   * Verifies that an artifact, which need not be here yet, is signed as it has to be: by what is kept on the disk, else by
   * what its source has. Without `signal` nobody is asked.
   * @throws AdaptletError SIGNATURE_*, REGISTRY_*, STORE_*
   */
  checkSigned(wish: Wish, digest: Digest, requirement: Requirement, signal?: AbortSignal): Promise<void>;
  /** No adapter needs it any more. */
  remove(digest: Digest): Promise<void>;
  /** The Adapter, and all others of its namespace, do not need it any more: what was granted to it ends. */
  release(wish: Wish, digest: Digest): Promise<void>;
  /** All that is on the disk, whoever needs it. */
  held(): readonly Held[];
  /** A namespace does not need it any more, whatever for. */
  disown(namespace: string, digest: Digest): Promise<void>;
  /** Sets a corrupt artifact aside, so that the next fetch brings it again. */
  quarantine(digest: Digest, reason: string): Promise<void>;
};

export type ArtifactsOptions = {
  readonly store: ContentStore;
  readonly disk: DiskThread;
  /** Folders below which path sources may lie. */
  readonly importRoots: readonly string[];
  /** Who may use what of the store. */
  readonly grants: Grants;
  /** Signatures of what is in the store. */
  readonly bundles: KeptBundles;
  readonly registry: RegistryOptions;
  /** Who asks the registry for an adapter; undefined: the options of `registry` say it. Default: always undefined. */
  readonly loginFor?: (key: ObjectKey, source: OciSource) => Login | undefined;
  /** For how long a blob is waited for that another source sends. Default: 5,000. */
  readonly patienceMs?: number;
  /** Which sources sent what is not granted yet. */
  readonly senders: BlobSenders;
  /** Who asks a source that is no registry; undefined: nobody in particular. Default: always undefined. */
  readonly credentialFor?: (key: ObjectKey, source: Source) => SourceCredential | undefined;
  /** Of huggingFace sources. Default: that of Hugging Face. */
  readonly hubEndpoint?: string;
  /** How requests leave for an adapter. Default: as those of `registry`. */
  readonly fetchFor?: (key: ObjectKey, source: Source) => typeof fetch;
  /** Weights may come as their changes to what is here. Absent: always whole. */
  readonly deltas?: DeltaOptions | undefined;
  /** Blobs of registries may come from other runtimes of the site. Absent: never. */
  readonly peers?: PeerBlobs | undefined;
  /** Hears of artifacts that were set aside. */
  readonly onQuarantine?: (digest: Digest, reason: string) => void;
};

const never = new AbortController().signal;

/** The identities that a source may have: a folder may lie below any of the import roots. */
const sourcesOf = (
  source: Source,
  importRoots: readonly string[],
  hubEndpoint: string,
): readonly string[] => {
  const { oci, path } = source;
  if (oci !== undefined) return [imageSource(parseReference(oci.image))];
  const remote = remoteSource(source, hubEndpoint);
  if (remote !== undefined) return [remote];
  return path === undefined ? [] : importRoots.map((root) => folderSource(root, path.path));
};

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
  const { store, disk, grants, importRoots } = options;
  const { patienceMs = 5_000 } = options;
  const admission = new Admission(store, grants, options.senders, {
    clock: options.registry.clock,
    ms: patienceMs,
  });

  const http = new RegistryHttp(options.registry);
  const unnamed = new Registry(options.registry, http);
  // Without a delta nothing is lost: it is given up soon.
  const brief = new Registry({ ...options.registry, attempts: Math.min(2, options.registry.attempts) }, http);
  const deltas =
    options.deltas === undefined
      ? undefined
      : new Deltas({ store, grants, disk, clock: options.registry.clock }, options.deltas);
  const askerOf = (wish: Wish, oci: OciSource) =>
    [options.loginFor?.(wish.key, oci), options.fetchFor?.(wish.key, wish.source)] as const;
  const registryFor = (wish: Wish, oci: OciSource): Registry => unnamed.as(...askerOf(wish, oci));
  const signed = { bundles: options.bundles, registryFor };
  const { registry: transfer, hubEndpoint = defaultHubEndpoint } = options;
  const remote = new RemoteSources({
    store,
    disk,
    grants,
    admission,
    transfer,
    hubEndpoint,
    credentialFor: (wish) => options.credentialFor?.(wish.key, wish.source),
    fetchFor: (wish) => options.fetchFor?.(wish.key, wish.source) ?? transfer.fetch,
  });

  const fetched = (digest: Digest): Fetched => ({ digest, bytes: store.stored(digest)?.bytes ?? 0 });

  const isGranted = ({ key, uid, source }: Wish, digest: Digest): boolean =>
    grants.hasFormer(digest, uid) ||
    sourcesOf(source, importRoots, hubEndpoint).some((one) =>
      grants.has(digest, { namespace: namespaceOf(key), source: one }),
    );

  const stored = (wish: Wish, digest: Digest) => {
    const found = store.stored(digest);
    return found !== undefined && isGranted(wish, digest) ? { bytes: found.bytes } : undefined;
  };

  /** What is here for the wish, once it was admitted; undefined when it is not, or left for that. */
  const taken = async (wish: Wish, digest: Digest, { admit }: FetchOptions): Promise<Fetched | undefined> => {
    const found = stored(wish, digest);
    if (found === undefined) return undefined;
    await admit?.({ digest, bytes: found.bytes, missingBytes: 0 });
    return stored(wish, digest) === undefined ? undefined : { digest, bytes: found.bytes };
  };

  const fetchImage = async (
    wish: Wish,
    source: OciSource,
    expected: Digest | undefined,
    fetchOptions: FetchOptions,
  ) => {
    const { signal, onProgress, admit, onReserved } = fetchOptions;
    const text = source.image;
    const image = parseReference(text);
    if (image.digest !== undefined) {
      checkDigest(image.digest, expected, text);
      const here = await taken(wish, image.digest, fetchOptions);
      if (here !== undefined) return here;
    }
    const registry = registryFor(wish, source);
    const manifest = await manifestOf(registry, image, expected, signal);
    const parsed = parseManifest(manifest, store.limits, text);
    refuseUnreadable(parsed, text);
    const progress = progressOf(totalBytes(parsed), onProgress);
    const claim = { namespace: namespaceOf(wish.key), source: imageSource(image) };
    await using peers = options.peers?.fetch({
      key: wish.key,
      text,
      claim,
      image,
      signal,
      onBytes: progress,
    });
    const onBytes = (blob: Digest, bytes: number): void => {
      peers?.progressed(blob, bytes);
      progress(blob, bytes);
    };
    const whole: WriteBlob = (blob, path, have) =>
      registry.blob(image, blob, { path, have }, signal, (n) => onBytes(blob.digest, n));
    const digest = digestOf(manifest);
    const login = brief.as(...askerOf(wish, source));
    const write = deltas?.writer({ digest, claim, image, registry: login, whole, signal, onBytes }) ?? whole;
    const hash = (blob: Descriptor) => registry.hash(image, blob, signal, (n) => onBytes(blob.digest, n));
    await admit?.(arrivalOf(store, parsed, digest));
    const offer = {
      claim,
      manifest,
      write: peers?.writer(write) ?? write,
      hash: peers?.hasher(hash) ?? hash,
      onReserved,
      onSent: (blob: Descriptor) => peers?.brought(blob),
    };
    return fetched(await admission.add(offer, signal));
  };

  const fetchFolder = async (
    { key }: Wish,
    path: string,
    expected: Digest | undefined,
    { signal, onProgress, admit, onReserved }: FetchOptions,
  ) => {
    const { folder, root } = await resolveImport(path, importRoots);
    const packed = await packFolder(folder, { disk, limits: store.limits, signal });
    checkDigest(packed.digest, expected, folder);
    const progress = progressOf(packed.bytes, onProgress);
    const copy = copyPacked(packed);
    const write: WriteBlob = async (blob, target, have) => {
      await copy(blob, target, have);
      progress(blob.digest, blob.size);
    };
    const claim = { namespace: namespaceOf(key), source: folderSource(root, path) };
    await admit?.(arrivalOf(store, parseManifest(packed.manifest, store.limits, folder), packed.digest));
    try {
      return fetched(await admission.add({ claim, manifest: packed.manifest, write, onReserved }, signal));
    } catch (error) {
      throw asChanged(error, folder);
    }
  };

  return {
    async fetch(wish, expected, fetchOptions) {
      fetchOptions.signal.throwIfAborted();
      using _ = disk.heard(fetchOptions.signal, () => fetchOptions.onWork?.());
      const here = expected === undefined ? undefined : await taken(wish, expected, fetchOptions);
      if (here !== undefined) return here;
      const { oci, path } = wish.source;
      if (oci !== undefined) return await fetchImage(wish, oci, expected, fetchOptions);
      if (path !== undefined) return await fetchFolder(wish, path.path, expected, fetchOptions);
      const source = remoteSource(wish.source, hubEndpoint);
      if (source !== undefined) return fetched(await remote.fetch(wish, source, expected, fetchOptions));
      throw new AdaptletError('ARTIFACT_NOT_FOUND', 'the source says nowhere where its files are', {
        advice: 'Set one of oci, path, http and huggingFace in spec.source.',
      });
    },
    stored,
    folder: (digest) => store.folder(digest),
    async verify(digest, signal, alive = () => undefined) {
      using _ = disk.heard(signal, alive);
      await store.verify(digest, signal);
    },
    checkSigned: (wish, digest, requirement, signal) => {
      const question = { wish, digest, requirement };
      return signal === undefined ? checkKept(signed, question) : checkSigned(signed, question, signal);
    },
    async remove(digest) {
      await grants.drop(digest);
      await store.remove(digest);
      await options.bundles.drop(digest);
    },
    release: ({ key, uid }, digest) => grants.take(digest, { namespace: namespaceOf(key), uid }),
    held: () =>
      store.list().map((digest) => ({
        digest,
        bytes: store.stored(digest)?.bytes ?? 0,
        namespaces: [...grants.ownersOf(digest)],
      })),
    disown: (namespace, digest) => grants.take(digest, { namespace, uid: '' }),
    async quarantine(digest, reason) {
      options.onQuarantine?.(digest, reason);
      await store.quarantine(digest, never);
    },
  };
};
