import type { Digest } from '../../api/names.ts';
import { digestOf } from '../../artifact/digest.ts';
import { blobsOf, type Manifest, parseManifest } from '../../artifact/manifest.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import type { Registry } from '../../artifact/registry.ts';
import type { ContentStore } from '../../artifact/store.ts';
import { refuseWithoutGraph } from './locate.ts';
import { modelLimits } from './model-store.ts';

/** What a registry has under the reference of a base model. */
export type Offer = { readonly bytes: Uint8Array; readonly digest: Digest; readonly manifest: Manifest };

/**
 * Asks a registry for the manifest of a base model, by the digest of the reference if it has one.
 * @throws AdaptletError those of registries and manifests; MODEL_FILE_MISSING when it holds no base model
 */
export const askForModel = async (
  registry: Pick<Registry, 'manifest'>,
  image: ImageReference,
  where: string,
  signal: AbortSignal,
): Promise<Offer> => {
  const bytes = await registry.manifest(image, image.digest ?? image.tag ?? 'latest', signal);
  const manifest = parseManifest(bytes, modelLimits, where);
  refuseWithoutGraph(manifest, where);
  return { bytes, digest: digestOf(bytes), manifest };
};

/**
 * Brings what a registry offers into a store, and goes on from what is there.
 * @param onReceived gets the bytes that are here, at the beginning and while more arrive
 * @throws AdaptletError those of registries and stores; the reason of `signal`
 */
export const receiveModel = async (
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
