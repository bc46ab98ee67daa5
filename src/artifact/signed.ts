import type { Digest } from '../api/names.ts';
import type { OciSource } from '../api/source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Requirement } from '../signature/requirement.ts';
import { isOfUse, verifySignatures } from '../signature/verify.ts';
import { bundlesOf, verifyFound } from './bundles.ts';
import type { KeptBundles } from './kept-bundles.ts';
import { placeOf } from './offer.ts';
import { parseReference } from './reference.ts';
import type { Registry } from './registry.ts';
import type { Wish } from './wish.ts';

export type SignedParts = {
  readonly bundles: KeptBundles;
  /** The registry of a source, asked as for that adapter. */
  readonly registryFor: (wish: Wish, source: OciSource) => Registry;
};

export type SignedQuestion = {
  readonly wish: Wish;
  readonly digest: Digest;
  readonly requirement: Requirement;
};

const isMet = async (
  { bundles }: SignedParts,
  { digest, requirement }: SignedQuestion,
): Promise<AdaptletError | undefined> => {
  try {
    verifySignatures(await bundles.of(digest), digest, requirement);
    return undefined;
  } catch (error) {
    if (error instanceof AdaptletError) return error;
    throw error;
  }
};

/**
 * Verifies that an artifact is signed as it has to be: by the bundles that are kept on the disk, without asking anybody.
 * @throws AdaptletError SIGNATURE_*
 */
export const checkKept = async (parts: SignedParts, question: SignedQuestion): Promise<void> => {
  const error = await isMet(parts, question);
  if (error !== undefined) throw error;
};

/**
 * The same, and where what is kept does not do, asks the source and keeps what it has. The artifact itself need not be
 * here yet.
 * @throws AdaptletError SIGNATURE_*, REGISTRY_*, STORE_*, and what credentials may throw
 */
export const checkSigned = async (
  parts: SignedParts,
  question: SignedQuestion,
  signal: AbortSignal,
): Promise<void> => {
  const { wish, digest, requirement } = question;
  const error = await isMet(parts, question);
  if (error === undefined) return;
  const { oci } = wish.source;
  if (oci === undefined) {
    // What is kept for the same content of a registry would have done.
    throw new AdaptletError(error.code, `${error.what}; only what is in a registry has signatures`, {
      advice: 'Push it to a registry with adaptlet push, sign it there, and use it as source.oci.',
      cause: error,
    });
  }
  const reference = parseReference(oci.image);
  const found = await bundlesOf(parts.registryFor(wish, oci), reference, digest, signal);
  verifyFound(found, digest, requirement, placeOf(reference));
  const used = found.bundles.filter((bundle) => isOfUse(bundle, digest, requirement));
  // The others may be by keys that are asked for next.
  await parts.bundles.keep(digest, used, found.bundles);
};
