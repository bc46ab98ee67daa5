import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { bundleToJSON, toDSSEBundle } from '@sigstore/bundle';
import { dsse } from '@sigstore/core';
import type { Digest } from '../api/names.ts';
import { statementFor, statementType } from './statement.ts';
import { hintOf } from './verify.ts';

/** A sigstore bundle of version 0.3 that says: this artifact is signed. What `cosign verify` takes. */
export const signDigest = (digest: Digest, key: KeyObject): Uint8Array => {
  const payload = statementFor(digest);
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = sign(algorithm, dsse.preAuthEncoding(statementType, payload), key);
  const keyHint = hintOf(createPublicKey(key));
  const bundle = toDSSEBundle({ artifact: payload, artifactType: statementType, signature, keyHint });
  // cosign writes none, and finds no key for one that is there.
  for (const one of bundle.content.dsseEnvelope.signatures) one.keyid = '';
  return Buffer.from(JSON.stringify(bundleToJSON(bundle)));
};
