import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import {
  BUNDLE_V03_MEDIA_TYPE,
  type Bundle,
  bundleFromJSON,
  isBundleWithDsseEnvelope,
} from '@sigstore/bundle';
import { TrustedRoot } from '@sigstore/protobuf-specs';
import { toSignedEntity, toTrustMaterial, VerificationError, Verifier } from '@sigstore/verify';
import type { Digest } from '../api/names.ts';
import type { Signers } from '../api/signatures.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { ErrorCode } from '../errors/catalogue.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { Demand, Requirement } from './requirement.ts';
import { signPredicate, statementOf, statementType } from './statement.ts';

/** Type of the artifacts that have a bundle, and of their layers. */
export const bundleType = BUNDLE_V03_MEDIA_TYPE;

/** Why a bundle is no signature that a demand asks for. Of several the one that is first here is told. */
const refusals = [
  'SIGNATURE_EXPIRED',
  'SIGNATURE_WRONG_SUBJECT',
  'SIGNATURE_WRONG_PREDICATE',
  'SIGNATURE_INVALID',
  'SIGNATURE_UNTRUSTED',
  'SIGNATURE_FORM',
] as const satisfies readonly ErrorCode[];

type Refused = { readonly code: (typeof refusals)[number]; readonly why: string };
/** `signer`: name of a key or an identity. */
type Judged = { readonly signer: string } | Refused;

/** Who has signed, one for each demand. */
export type Verified = { readonly signers: readonly string[] };

const refused = (code: Refused['code'], why: string): Refused => ({ code, why });

const isRefused = (judged: Judged): judged is Refused => 'code' in judged;

/** A trust root without anything: for keys that are trusted for themselves. */
const noRoot = TrustedRoot.fromJSON({});

type PinnedKey = {
  readonly name: string;
  /** As bundles name it: sha256 of the key in DER, in base64. */
  readonly hint: string;
  readonly verifier: Verifier;
};

/** As sigstore names a key in bundles. */
export const hintOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64');

/** No log and no timestamp: the key is what is trusted. */
const pinned = ({ name, publicKey: pem }: Signers['keys'][number]): PinnedKey => {
  const publicKey = createPublicKey(pem);
  const material = toTrustMaterial(noRoot, () => ({ publicKey, validFor: () => true }));
  const verifier = new Verifier(material, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 });
  return { name, hint: hintOf(publicKey), verifier };
};

/** What a trust root names has to be there; something has to prove when a certificate was used. */
const rooted = (text: string): Verifier => {
  const root = TrustedRoot.fromJSON(JSON.parse(text));
  if (root.certificateAuthorities.length === 0) throw new Error('it names no certificate authority');
  return new Verifier(toTrustMaterial(root), {
    ctlogThreshold: root.ctlogs.length > 0 ? 1 : 0,
    tlogThreshold: root.tlogs.length > 0 ? 1 : 0,
    timestampThreshold: 1,
  });
};

type Trust = { readonly keys: readonly PinnedKey[]; readonly root: Verifier | AdaptletError | undefined };

const trusts = new WeakMap<Signers, Trust>();

const trustOf = (signers: Signers): Trust => {
  const known = trusts.get(signers);
  if (known !== undefined) return known;
  const { trustRoot } = signers;
  let root: Trust['root'];
  try {
    root = trustRoot === undefined ? undefined : rooted(trustRoot);
  } catch (error) {
    // Keys go on: what only an identity has signed is refused.
    root = new AdaptletError('SIGNATURE_UNTRUSTED', 'trustRoot cannot be read', { cause: error });
  }
  const trust = { keys: signers.keys.map(pinned), root };
  trusts.set(signers, trust);
  return trust;
};

const messageOf = (error: unknown): string =>
  quoteUntrusted(error instanceof Error ? error.message : String(error));

const byKey = (bundle: Bundle, hint: string, { keys }: Trust): Judged => {
  const entity = { ...toSignedEntity(bundle), tlogEntries: [], timestamps: [] };
  for (const { name, verifier } of keys) {
    try {
      verifier.verify(entity);
      return { signer: name };
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
    }
  }
  const named = keys.find((key) => key.hint === hint);
  return named === undefined
    ? refused('SIGNATURE_UNTRUSTED', `the key that signed it (${quoteUntrusted(hint)}) is not trusted`)
    : refused('SIGNATURE_INVALID', `the signature says that it is of the key ${named.name}, and it is not`);
};

const causesOf = (error: unknown): readonly string[] =>
  error instanceof Error ? [error.message, ...causesOf(error.cause)] : [];

/** The library has no code for a certificate that was over, or not yet valid. */
const isAboutTime = (error: VerificationError): boolean =>
  error.code === 'TIMESTAMP_ERROR' ||
  causesOf(error).some((text) => text.includes('not valid or expired at the specified date'));

const byIdentity = (bundle: Bundle, { identities }: Signers, { root }: Trust): Judged => {
  if (root === undefined)
    return refused('SIGNATURE_UNTRUSTED', 'it is signed with a certificate, and no trust root is named');
  if (root instanceof AdaptletError) return refused('SIGNATURE_UNTRUSTED', root.what);
  let found: { readonly issuer: string | undefined; readonly subject: string | undefined };
  try {
    const { identity } = root.verify(toSignedEntity(bundle));
    found = { issuer: identity?.extensions?.issuer, subject: identity?.subjectAlternativeName };
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    const why = `its certificate, log or signature is not as the trust root says: ${messageOf(error)}`;
    if (isAboutTime(error)) return refused('SIGNATURE_EXPIRED', why);
    return refused(error.code === 'CERTIFICATE_ERROR' ? 'SIGNATURE_UNTRUSTED' : 'SIGNATURE_INVALID', why);
  }
  const { issuer, subject } = found;
  const one = identities.find((identity) => identity.issuer === issuer && identity.subject === subject);
  if (one !== undefined) return { signer: one.name };
  const who = `${quoteUntrusted(subject ?? 'nobody')} by ${quoteUntrusted(issuer ?? 'nobody')}`;
  return refused('SIGNATURE_UNTRUSTED', `it is signed by ${who}, which is no identity that is trusted`);
};

const parsed = (bytes: Uint8Array): Bundle | Refused => {
  let bundle: Bundle;
  try {
    bundle = bundleFromJSON(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    return refused('SIGNATURE_INVALID', `it is no bundle: ${messageOf(error)}`);
  }
  return bundle.mediaType === bundleType
    ? bundle
    : refused('SIGNATURE_FORM', `it is ${quoteUntrusted(bundle.mediaType)}, not ${bundleType}`);
};

/** Who of the signers has signed `digest` by this bundle. */
const judge = (bytes: Uint8Array, digest: Digest, signers: Signers): Judged => {
  const bundle = parsed(bytes);
  if ('code' in bundle) return bundle;
  if (!isBundleWithDsseEnvelope(bundle))
    return refused('SIGNATURE_FORM', 'it is a messageSignature, which has no statement about an artifact');
  const trust = trustOf(signers);
  const { content } = bundle.verificationMaterial;
  let signer: Judged;
  try {
    signer =
      content.$case === 'publicKey'
        ? byKey(bundle, content.publicKey.hint, trust)
        : byIdentity(bundle, signers, trust);
  } catch (error) {
    // Parsers of certificates and timestamps throw what they like.
    return refused('SIGNATURE_INVALID', `it cannot be read: ${messageOf(error)}`);
  }
  if (isRefused(signer)) return signer;
  const { payload, payloadType } = bundle.content.dsseEnvelope;
  const statement = payloadType === statementType ? statementOf(payload) : undefined;
  if (statement === undefined)
    return refused('SIGNATURE_FORM', `what ${signer.signer} has signed is no in-toto statement`);
  const { isPresent, predicateType, subjects } = statement;
  if (predicateType !== signPredicate) {
    const why = `what ${signer.signer} has signed is ${quoteUntrusted(predicateType)}, not ${signPredicate}`;
    return refused('SIGNATURE_WRONG_PREDICATE', why);
  }
  if (!isPresent) return refused('SIGNATURE_FORM', `what ${signer.signer} has signed is no Statement/v1`);
  if (subjects.includes(digest.slice('sha256:'.length))) return signer;
  const other = quoteUntrusted(subjects[0] ?? 'nothing');
  return refused(
    'SIGNATURE_WRONG_SUBJECT',
    `what ${signer.signer} has signed is ${other}, not this artifact`,
  );
};

const meet = (demand: Demand, bundles: readonly Uint8Array[], digest: Digest): string => {
  const { where, signers } = demand;
  const reasons: Refused[] = [];
  for (const bundle of bundles) {
    const judged = judge(bundle, digest, signers);
    if (!isRefused(judged)) return judged.signer;
    reasons.push(judged);
  }
  const asked = `${where} asks for a signature of ${digest}`;
  const [nearest] = reasons.toSorted((a, b) => refusals.indexOf(a.code) - refusals.indexOf(b.code));
  if (nearest === undefined) throw new AdaptletError('SIGNATURE_MISSING', `${asked}, and there is none`);
  const others = reasons.length > 1 ? ` (nor are ${reasons.length - 1} others)` : '';
  throw new AdaptletError(nearest.code, `${asked}, and what is there is none${others}: ${nearest.why}`);
};

/**
 * Verifies that an artifact is signed as it has to be, by some of the bundles.
 * @throws AdaptletError SIGNATURE_*
 */
export const verifySignatures = (
  bundles: readonly Uint8Array[],
  digest: Digest,
  { demands }: Requirement,
): Verified => ({ signers: demands.map((demand) => meet(demand, bundles, digest)) });

/** Whether a bundle is one of those by which a requirement is met, if only in part. */
export const isOfUse = (bundle: Uint8Array, digest: Digest, { demands }: Requirement): boolean =>
  demands.some(({ signers }) => !isRefused(judge(bundle, digest, signers)));
