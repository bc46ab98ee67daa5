import {
  createHash,
  generateKeyPairSync,
  type KeyPairKeyObjectResult,
  sign,
  X509Certificate,
} from 'node:crypto';
import { type Bundle, bundleToJSON, toDSSEBundle } from '@sigstore/bundle';
import { dsse } from '@sigstore/core';
import { initializeCA, initializeTSA } from '@sigstore/mock';
import type { Digest } from '../api/names.ts';
import { statementFor, statementType } from './statement.ts';

const issuerExtension = '1.3.6.1.4.1.57264.1.8';
const sha256 = '2.16.840.1.101.3.4.2.1';
const tsaPolicy = '1.3.6.1.4.1.57264.2';
export const issuer = 'https://issuer.example';
export const subject = 'https://git.example/team-a/adapters/release.yml@refs/heads/main';
/** Whole seconds: of fractions the mock leaves out trailing zeros, and the library does not. */
export const soon = (ms: number): Date => new Date(Math.floor((Date.now() + ms) / 1000) * 1000);

const newKeys = (): KeyPairKeyObjectResult => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const bytesOf = (view: ArrayBufferView): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength);

const authority = (certificates: readonly ArrayBufferView[]) => ({
  subject: { organization: 'test', commonName: 'test' },
  certChain: { certificates: certificates.map((one) => ({ rawBytes: bytesOf(one).toString('base64') })) },
  validFor: { start: '2020-01-01T00:00:00Z' },
});

/** An authority for certificates and one for timestamps, as a trusted_root.json names them. */
export const startKeyless = async () => {
  const ca = await initializeCA(newKeys());
  const tsaKeys = newKeys();
  const tsa = await initializeTSA(tsaKeys);
  const trustRoot = JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    certificateAuthorities: [authority([ca.rootCertificate])],
    timestampAuthorities: [authority([tsa.intCertificate, tsa.rootCertificate])],
    tlogs: [],
    ctlogs: [],
  });
  /** What `cosign sign` makes without a key. `at`: when the timestamp authority says that it was. */
  const bundle = async (digest: Digest, who: string, at = soon(0), by = issuer): Promise<Uint8Array> => {
    const { privateKey, publicKey } = newKeys();
    const certificate = await ca.issueCertificate({
      publicKey: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
      subjectAltName: who,
      extensions: [{ oid: issuerExtension, value: by }],
    });
    const payload = statementFor(digest);
    const signature = sign('sha256', dsse.preAuthEncoding(statementType, payload), privateKey);
    const made: Bundle = toDSSEBundle({
      artifact: payload,
      artifactType: statementType,
      signature,
      certificate: bytesOf(certificate),
    });
    const clock = await initializeTSA(tsaKeys, at);
    const signedTimestamp = await clock.timestamp({
      artifactHash: createHash('sha256').update(signature).digest(),
      hashAlgorithmOID: sha256,
      nonce: 1,
      policyOID: tsaPolicy,
      certReq: true,
    });
    made.verificationMaterial.timestampVerificationData = {
      rfc3161Timestamps: [{ signedTimestamp: bytesOf(signedTimestamp) }],
    };
    if (!new X509Certificate(bytesOf(certificate)).subjectAltName?.includes(who))
      throw new Error(`the certificate is not of ${who}`);
    return Buffer.from(JSON.stringify(bundleToJSON(made)));
  };
  return { trustRoot, bundle };
};
