import { AdaptletError } from '../errors/adaptlet-error.ts';
import { type Descriptor, mediaTypes } from './manifest.ts';
import type { Packed } from './pack.ts';
import type { ImageReference } from './reference.ts';
import { entriesOf, referrerLimits, referrersTag } from './referrers.ts';
import type { Registry } from './registry.ts';
import type { RegistryPush } from './registry-push.ts';

/** What an index says of a referrer. */
export type Attachment = {
  readonly packed: Packed;
  readonly subject: Descriptor['digest'];
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
};

type Clients = { readonly registry: Pick<Registry, 'document'>; readonly push: RegistryPush };

/** Two who attach at the same time may write over each other under the tag: whoever is lost tries again. */
const attempts = 3;

const isOf = (entry: unknown, digest: string): boolean =>
  typeof entry === 'object' && entry !== null && 'digest' in entry && entry.digest === digest;

/**
 * Pushes an artifact that refers to another. Where the registry has no API for referrers, it is entered under the fallback tag,
 * as distribution 1.1 asks of clients.
 * @returns by what it is found
 * @throws AdaptletError those of pushes; REGISTRY_REFUSED where it is not under the tag at the end
 */
export const attach = async (
  { registry, push }: Clients,
  reference: ImageReference,
  { packed, subject, artifactType, annotations }: Attachment,
  signal: AbortSignal,
): Promise<'api' | 'tag'> => {
  const place = { ...reference, tag: undefined, digest: undefined };
  await push.push(place, packed, { signal });
  const limits = { accept: mediaTypes.index, maxBytes: referrerLimits.maxBytes };
  if ((await registry.document(place, `referrers/${subject}`, limits, signal)) !== undefined) return 'api';
  const tag = referrersTag(subject);
  const listed = async (): Promise<readonly unknown[]> => {
    const document = await registry.document(place, `manifests/${tag}`, limits, signal);
    return document === undefined ? [] : entriesOf(document.bytes, tag);
  };
  const { digest, manifest } = packed;
  const entry = { mediaType: mediaTypes.manifest, artifactType, digest, size: manifest.length, annotations };
  for (let attempt = 0; attempt < attempts; attempt++) {
    const entries = await listed();
    if (entries.some((one) => isOf(one, digest))) return 'tag';
    const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [...entries, entry] };
    await push.index(place, tag, Buffer.from(JSON.stringify(index)), signal);
  }
  if ((await listed()).some((one) => isOf(one, digest))) return 'tag';
  throw new AdaptletError('REGISTRY_REFUSED', `${tag} does not list ${digest} after it was written`, {
    advice: 'Try again: somebody else may have written it at the same time.',
  });
};
