import { z } from 'zod';
import { type Digest, digestSchema } from '../api/names.ts';
import { parsedBy } from '../api/parsed.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { hexOf } from './digest.ts';
import { type Descriptor, mediaTypes } from './manifest.ts';
import type { ImageReference } from './reference.ts';
import type { Registry } from './registry.ts';

/** A manifest that names another as its subject, as an index lists it. Nothing of this is proved before it was read. */
export type Referrer = Descriptor & { readonly artifactType?: string | undefined };

export type Referrers = {
  readonly referrers: readonly Referrer[];
  /** There are more than were read: the limits end the reading, in the order of the registry. */
  readonly isCut: boolean;
};

export type ReferrerLimits = {
  /** Entries that are looked at, those of other types included. */
  readonly maxEntries: number;
  /** Bytes of all pages together. */
  readonly maxBytes: number;
  readonly maxPages: number;
};
export const referrerLimits: ReferrerLimits = { maxEntries: 1000, maxBytes: 1024 ** 2, maxPages: 8 };

/** The config of artifacts that have none. Some registries give its type as that of the artifact. */
export const emptyConfigType = 'application/vnd.oci.empty.v1+json';

const listSchema = z.object({ manifests: z.array(z.unknown()) });
const entrySchema = z.object({
  mediaType: z.string().max(255),
  artifactType: z.string().max(255).optional(),
  digest: digestSchema,
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
});

/** The tag under which clients keep an index of referrers where a registry has no API for them. */
export const referrersTag = (subject: Digest): string => `sha256-${hexOf(subject)}`;

/** The entries of an index, as they come. */
export const entriesOf = (bytes: Uint8Array, where: string): readonly unknown[] => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new AdaptletError('ARTIFACT_MANIFEST_INVALID', `${where} is not JSON`, { cause: error });
  }
  const parsed = parsedBy(listSchema, value);
  if (parsed.success) return parsed.data.manifests;
  throw new AdaptletError('ARTIFACT_MANIFEST_INVALID', `${where} is no index`, { cause: parsed.error });
};

/**
 * The query of the next page. Its address is opaque, but it is one of the same list: what else a registry may name is
 * not followed.
 */
const nextQuery = (link: string | null): string | undefined => {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (target === undefined || !URL.canParse(target, 'http://registry')) return undefined;
  const { search } = new URL(target, 'http://registry');
  return search === '' ? undefined : search;
};

/**
 * The referrers of a manifest that are of a type: by the API of distribution 1.1, and where a registry has none, by the index
 * under the fallback tag. A registry that does not tell the type of an artifact lists it as one of the empty config: those
 * are given too, as are annotations only where the registry has them, so read the manifest before you believe an entry.
 * `registry`: with the credentials of whoever asks. Entries that are not of this format are left out.
 * @throws AdaptletError REGISTRY_*, ARTIFACT_MANIFEST_INVALID, ARTIFACT_TOO_LARGE for a page over the limit
 */
export const referrersOf = async (
  registry: Pick<Registry, 'document'>,
  reference: ImageReference,
  { subject, artifactType }: { readonly subject: Digest; readonly artifactType: string },
  signal: AbortSignal,
  limits: ReferrerLimits = referrerLimits,
): Promise<Referrers> => {
  const entries: unknown[] = [];
  let bytesLeft = limits.maxBytes;
  const read = async (path: string) => {
    const document = await registry.document(
      reference,
      path,
      { accept: mediaTypes.index, maxBytes: bytesLeft },
      signal,
    );
    if (document === undefined) return undefined;
    bytesLeft -= document.bytes.length;
    entries.push(...entriesOf(document.bytes, `${reference.registry}/${reference.repository}: ${path}`));
    return document;
  };
  let query: string | undefined = `?${new URLSearchParams({ artifactType }).toString()}`;
  for (let page = 0; query !== undefined && page < limits.maxPages; page++) {
    if (page > 0 && (entries.length >= limits.maxEntries || bytesLeft <= 0)) break;
    const document = await read(`referrers/${subject}${query}`);
    // Without the API the tag is all there is; it has one page.
    if (document === undefined && page === 0) await read(`manifests/${referrersTag(subject)}`);
    query = nextQuery(document?.link ?? null);
  }
  const referrers = entries.slice(0, limits.maxEntries).flatMap((entry): readonly Referrer[] => {
    const { success, data } = parsedBy(entrySchema, entry);
    if (!success || data.mediaType !== mediaTypes.manifest) return [];
    return data.artifactType === artifactType || data.artifactType === emptyConfigType ? [data] : [];
  });
  return { referrers, isCut: query !== undefined || entries.length > limits.maxEntries };
};
