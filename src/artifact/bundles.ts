import { z } from 'zod';
import type { Digest } from '../api/names.ts';
import { AdaptletError, errorCodeOf } from '../errors/adaptlet-error.ts';
import type { Requirement } from '../signature/requirement.ts';
import { bundleType, type Verified, verifySignatures } from '../signature/verify.ts';
import { digestOf } from './digest.ts';
import { type Descriptor, mediaTypes } from './manifest.ts';
import { placeOf } from './offer.ts';
import type { ImageReference } from './reference.ts';
import { referrersOf } from './referrers.ts';
import type { Registry } from './registry.ts';

/** How many bundles of an artifact are read, and how large they and their manifests may be, in bytes. */
export const bundleLimits = { maxBundles: 32, maxBundleBytes: 128 * 1024, maxManifestBytes: 64 * 1024 };

type Reading = Pick<Registry, 'document' | 'small'>;

export type FoundBundles = {
  readonly bundles: readonly Uint8Array[];
  /** There are more referrers than were read. */
  readonly isCut: boolean;
};

const manifestSchema = z.object({
  artifactType: z.literal(bundleType),
  layers: z.tuple([
    z.object({
      mediaType: z.literal(bundleType),
      digest: z.custom<Digest>((value) => typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value)),
      size: z.int().min(0).max(bundleLimits.maxBundleBytes),
    }),
  ]),
});

/** The layer with the bundle; undefined: the manifest is of something else. */
const layerOf = (bytes: Uint8Array): Descriptor | undefined => {
  try {
    return manifestSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
      .layers[0];
  } catch {
    return undefined;
  }
};

/** Stands for a bundle that came otherwise than its digest says: it is judged as what it is, no bundle. */
const unreadable = new Uint8Array();

const ofReferrer = async (
  registry: Reading,
  reference: ImageReference,
  digest: Digest,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> => {
  try {
    const limits = { accept: mediaTypes.manifest, maxBytes: bundleLimits.maxManifestBytes };
    const document = await registry.document(reference, `manifests/${digest}`, limits, signal);
    if (document === undefined) return undefined;
    if (digestOf(document.bytes) !== digest) return unreadable;
    const layer = layerOf(document.bytes);
    return layer && (await registry.small(reference, layer, bundleLimits.maxBundleBytes, signal));
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ARTIFACT_CORRUPT' || code === 'ARTIFACT_TOO_LARGE') return unreadable;
    // The fallback index lists what is gone.
    if (code === 'ARTIFACT_NOT_FOUND') return undefined;
    throw error;
  }
};

/**
 * The bundles that a registry has as referrers of a manifest, as they come. Nothing of them is verified.
 * @throws AdaptletError REGISTRY_*, ARTIFACT_MANIFEST_INVALID of an index that cannot be read
 */
export const bundlesOf = async (
  registry: Reading,
  reference: ImageReference,
  subject: Digest,
  signal: AbortSignal,
): Promise<FoundBundles> => {
  let found: Awaited<ReturnType<typeof referrersOf>>;
  try {
    found = await referrersOf(registry, reference, { subject, artifactType: bundleType }, signal);
  } catch (error) {
    if (errorCodeOf(error) === 'ARTIFACT_TOO_LARGE') return { bundles: [], isCut: true };
    throw error;
  }
  const { referrers, isCut } = found;
  const bundles: Uint8Array[] = [];
  let reads = 0;
  for (const { digest } of referrers) {
    // Others than bundles count too: registries that do not tell the type list them all.
    if (reads >= bundleLimits.maxBundles) return { bundles, isCut: true };
    reads += 1;
    const bundle = await ofReferrer(registry, reference, digest, signal);
    if (bundle !== undefined) bundles.push(bundle);
  }
  return { bundles, isCut };
};

/**
 * Verifies bundles of a registry. What is not there may be among those that were not read, which is a reason of its own.
 * @throws AdaptletError SIGNATURE_*
 */
export const verifyFound = (
  { bundles, isCut }: FoundBundles,
  digest: Digest,
  requirement: Requirement,
  where: string,
): Verified => {
  try {
    return verifySignatures(bundles, digest, requirement);
  } catch (error) {
    if (!isCut) throw error;
    const most = bundleLimits.maxBundles;
    throw new AdaptletError(
      'SIGNATURE_TOO_MANY',
      `${where} has more referrers of ${digest} than are read (${most} bundles), and none of those is a signature that is asked for`,
      { cause: error },
    );
  }
};

/**
 * Asks a registry whether a manifest is signed as it has to be.
 * @throws AdaptletError SIGNATURE_*, REGISTRY_*
 */
export const verifyInRegistry = async (
  registry: Reading,
  reference: ImageReference,
  { digest, requirement }: { readonly digest: Digest; readonly requirement: Requirement },
  signal: AbortSignal,
): Promise<Verified> =>
  verifyFound(await bundlesOf(registry, reference, digest, signal), digest, requirement, placeOf(reference));
