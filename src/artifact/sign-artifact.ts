import type { KeyObject } from 'node:crypto';
import type { Digest } from '../api/names.ts';
import { signDigest } from '../signature/sign.ts';
import { signPredicate } from '../signature/statement.ts';
import { bundleType } from '../signature/verify.ts';
import { attach } from './attach.ts';
import { digestOf } from './digest.ts';
import { mediaTypes } from './manifest.ts';
import type { Packed } from './pack.ts';
import type { ImageReference } from './reference.ts';
import { emptyConfigType } from './referrers.ts';
import type { Registry } from './registry.ts';
import type { RegistryPush } from './registry-push.ts';

/** As cosign 3 writes them; whoever reads does not trust them. `created`: RFC 3339. */
const annotationsAt = (created: string): Readonly<Record<string, string>> => ({
  'dev.sigstore.bundle.content': 'dsse-envelope',
  'dev.sigstore.bundle.predicateType': signPredicate,
  'org.opencontainers.image.created': created,
});

const empty = Buffer.from('{}');

/** A bundle as a referrer of what it signs. */
export const packBundle = (
  bundle: Uint8Array,
  subject: { readonly digest: Digest; readonly size: number },
  annotations: Readonly<Record<string, string>> = {},
): Packed => {
  const [config, layer] = [digestOf(empty), digestOf(bundle)];
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType: bundleType,
      config: { mediaType: emptyConfigType, digest: config, size: empty.length },
      layers: [{ mediaType: bundleType, digest: layer, size: bundle.length }],
      subject: { mediaType: mediaTypes.manifest, ...subject },
      annotations,
    }),
  );
  return {
    digest: digestOf(manifest),
    manifest,
    blobs: new Map([
      [config, { size: empty.length, bytes: empty }],
      [layer, { size: bundle.length, bytes: bundle }],
    ]),
    bytes: empty.length + bundle.length,
  };
};

export type Signed = {
  /** What was signed. */
  readonly digest: Digest;
  /** The referrer with the signature. */
  readonly signature: Digest;
  /** How it is found: by the API for referrers, or under the fallback tag. */
  readonly foundBy: 'api' | 'tag';
};

/**
 * Signs what a registry has under a reference, and pushes the signature beside it.
 * @param at wall time in milliseconds since the epoch
 * @throws AdaptletError REGISTRY_*, ARTIFACT_NOT_FOUND, DIGEST_MISMATCH
 */
export const signArtifact = async (
  clients: { readonly registry: Registry; readonly push: RegistryPush },
  image: ImageReference,
  { key, at }: { readonly key: KeyObject; readonly at: number },
  signal: AbortSignal,
): Promise<Signed> => {
  const version = image.digest ?? image.tag ?? 'latest';
  const manifest = await clients.registry.manifest(image, version, signal);
  const digest = digestOf(manifest);
  const annotations = annotationsAt(new Date(at).toISOString());
  const packed = packBundle(signDigest(digest, key), { digest, size: manifest.length }, annotations);
  const attachment = { packed, subject: digest, artifactType: bundleType, annotations };
  const foundBy = await attach(clients, image, attachment, signal);
  return { digest, signature: packed.digest, foundBy };
};
