import type { Digest } from '../api/names.ts';
import { digestOf } from './digest.ts';
import { type ArtifactLimits, blobsOf, type Manifest, parseManifest } from './manifest.ts';
import type { ImageReference } from './reference.ts';
import type { Registry } from './registry.ts';
import type { ContentStore } from './store.ts';

/** What a registry has under a reference. `bytes`: the manifest as it came. */
export type Offer = { readonly bytes: Uint8Array; readonly digest: Digest; readonly manifest: Manifest };

/** `registry/repository` of a reference, for messages. */
export const placeOf = ({ registry, repository }: ImageReference): string => `${registry}/${repository}`;

/**
 * Asks a registry for a manifest, by the digest of the reference if it has one.
 * @throws AdaptletError those of registries and manifests
 */
export const askFor = async (
  registry: Pick<Registry, 'manifest'>,
  image: ImageReference,
  { limits, where, signal }: { limits: ArtifactLimits; where: string; signal: AbortSignal },
): Promise<Offer> => {
  const bytes = await registry.manifest(image, image.digest ?? image.tag ?? 'latest', signal);
  return { bytes, digest: digestOf(bytes), manifest: parseManifest(bytes, limits, where) };
};

/**
 * Brings what a registry offers into a store, and goes on from what is there.
 * @param onReceived gets the bytes that are here, at the beginning and while more arrive
 * @throws AdaptletError those of registries and stores; the reason of `signal`
 */
export const receive = async (
  { registry, store }: { readonly registry: Pick<Registry, 'blob'>; readonly store: ContentStore },
  image: ImageReference,
  { bytes, manifest }: Offer,
  signal: AbortSignal,
  onReceived: (receivedBytes: number) => void,
): Promise<Digest> => {
  const arrived = new Map(blobsOf(manifest).map((blob) => [blob.digest, store.bytesHere([blob])]));
  const tell = (): void => onReceived([...arrived.values()].reduce((sum, each) => sum + each, 0));
  tell();
  return await store.add(
    bytes,
    (blob, path, have) =>
      registry.blob(image, blob, { path, have }, signal, (received) => {
        arrived.set(blob.digest, received);
        tell();
      }),
    signal,
  );
};
