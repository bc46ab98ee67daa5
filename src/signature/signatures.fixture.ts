import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { bundleToJSON, toDSSEBundle, toMessageSignatureBundle } from '@sigstore/bundle';
import { dsse } from '@sigstore/core';
import type { Signers } from '../api/signatures.ts';
import { type Requirement, requirementOf } from './requirement.ts';
import { statementType } from './statement.ts';
import { hintOf } from './verify.ts';

export type KeyPair = { readonly privateKey: KeyObject; readonly publicKey: KeyObject; readonly pem: string };

/** A new key as cosign makes it. */
export const aKeyPair = (): KeyPair => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey, pem: String(publicKey.export({ type: 'spki', format: 'pem' })) };
};

/** Keys by their names. */
export const signersOf = (keys: Readonly<Record<string, KeyPair>>): Signers => ({
  keys: Object.entries(keys).map(([name, { pem }]) => ({ name, publicKey: pem })),
  identities: [],
});

/** What a policy with these keys asks for. */
export const requires = (keys: Readonly<Record<string, KeyPair>>): Requirement => {
  const signatures = { required: true, ...signersOf(keys) };
  const requirement = requirementOf({ name: 'team-a/default', signatures }, undefined);
  if (requirement === undefined) throw new Error('nothing is asked for');
  return requirement;
};

/** Any payload in a bundle, signed. */
export const bundleFor = (
  payload: unknown,
  { privateKey, publicKey }: KeyPair,
  payloadType = statementType,
): Uint8Array => {
  const artifact = Buffer.from(JSON.stringify(payload));
  const signature = sign('sha256', dsse.preAuthEncoding(payloadType, artifact), privateKey);
  const keyHint = hintOf(publicKey);
  const bundle = toDSSEBundle({ artifact, artifactType: payloadType, signature, keyHint });
  return Buffer.from(JSON.stringify(bundleToJSON(bundle)));
};

/** As `cosign sign-blob` makes it. */
export const messageBundle = (digest: Buffer, { privateKey, publicKey }: KeyPair): Uint8Array => {
  const signature = sign('sha256', digest, privateKey);
  const bundle = toMessageSignatureBundle({ digest, signature, keyHint: hintOf(publicKey) });
  return Buffer.from(JSON.stringify(bundleToJSON(bundle)));
};

/** The bundle with something else at that place. */
export const changed = (bundle: Uint8Array, change: (value: Any) => void): Uint8Array => {
  const value = JSON.parse(Buffer.from(bundle).toString()) as Any;
  change(value);
  return Buffer.from(JSON.stringify(value));
};

type Any = {
  mediaType: string;
  dsseEnvelope: { payload: string; signatures: { sig: string }[] };
};
