import type { Digest } from '../api/names.ts';
import { bundleType } from '../signature/verify.ts';
import { digestOf } from './digest.ts';
import type { FakeRegistry } from './fake-registry.ts';
import { mediaTypes } from './manifest.ts';
import { referrersTag } from './referrers.ts';
import { packBundle } from './sign-artifact.ts';

/** What an index says of a referrer. */
type Listed = { readonly digest: Digest; readonly size: number };

/** Has a registry list referrers of a manifest, under the fallback tag. */
export const list = (
  registry: FakeRegistry,
  repository: string,
  subject: Digest,
  referrers: readonly Listed[],
): void => {
  const manifests = referrers.map((one) => ({
    mediaType: mediaTypes.manifest,
    artifactType: bundleType,
    ...one,
  }));
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }));
  registry.serve(repository, `manifests/${referrersTag(subject)}`, index);
};

/** Has a registry serve a bundle as a referrer, for `list`. */
export const putBundle = (
  registry: FakeRegistry,
  repository: string,
  subject: Digest,
  bundle: Uint8Array,
): Listed => {
  const { digest, manifest, blobs } = packBundle(bundle, { digest: subject, size: 1 });
  registry.serve(repository, `manifests/${digest}`, manifest);
  for (const [of, blob] of blobs) if ('bytes' in blob) registry.serve(repository, `blobs/${of}`, blob.bytes);
  return { digest, size: manifest.length };
};

/** Has a registry serve these bundles, and no others, for a manifest. */
export const putBundles = (
  registry: FakeRegistry,
  repository: string,
  subject: Digest,
  bundles: readonly Uint8Array[],
): void =>
  list(
    registry,
    repository,
    subject,
    bundles.map((bundle) => putBundle(registry, repository, subject, bundle)),
  );

/** A referrer that is listed and not there. */
export const gone = (name: string): Listed => ({ digest: digestOf(Buffer.from(name)), size: 1 });
