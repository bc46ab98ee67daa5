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
import { beforeAll, describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { type Signers, signersSchema } from '../api/signatures.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { statementFor, statementType } from './statement.ts';
import { verifySignatures } from './verify.ts';

const issuerExtension = '1.3.6.1.4.1.57264.1.8';
const sha256 = '2.16.840.1.101.3.4.2.1';
const tsaPolicy = '1.3.6.1.4.1.57264.2';
const digest = fakeDigest('a');
const issuer = 'https://issuer.example';
const subject = 'https://git.example/team-a/adapters/release.yml@refs/heads/main';
const hour = 3_600_000;

/** Whole seconds: of fractions the mock leaves out trailing zeros, and the library does not. */
const soon = (ms: number): Date => new Date(Math.floor((Date.now() + ms) / 1000) * 1000);

const newKeys = (): KeyPairKeyObjectResult => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const bytesOf = (view: ArrayBufferView): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength);

/** An authority for certificates and one for timestamps, as a trusted_root.json names them. */
const start = async () => {
  const ca = await initializeCA(newKeys());
  const authority = (certificates: readonly ArrayBufferView[]) => ({
    subject: { organization: 'test', commonName: 'test' },
    certChain: { certificates: certificates.map((one) => ({ rawBytes: bytesOf(one).toString('base64') })) },
    validFor: { start: '2020-01-01T00:00:00Z' },
  });
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
  const bundle = async (who: string, at = soon(0), by = issuer): Promise<Uint8Array> => {
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
    expect(new X509Certificate(bytesOf(certificate)).subjectAltName).toContain(who);
    return Buffer.from(JSON.stringify(bundleToJSON(made)));
  };
  return { trustRoot, bundle };
};

let world: Awaited<ReturnType<typeof start>>;
beforeAll(async () => {
  world = await start();
});

const signers = (trustRoot: string, who = subject, by = issuer): Signers =>
  signersSchema.parse({ trustRoot, identities: [{ name: 'ci', issuer: by, subject: who }] });
const verdict = async (bundle: Uint8Array, asked = signers(world.trustRoot)): Promise<string> => {
  const requirement = { version: '', demands: [{ where: 'a test', signers: asked }] };
  return await codeOf(() => verifySignatures([bundle], digest, requirement));
};

describe('an identity of a pinned trust root', () => {
  it('has signed, without anybody being asked', async () => {
    expect(await verdict(await world.bundle(subject))).toBe('none');
  });

  it('is compared as a whole: neither as the beginning of another, nor as a regular expression', async () => {
    expect(await verdict(await world.bundle(`${subject}-evil`))).toBe('SIGNATURE_UNTRUSTED');
    expect(await verdict(await world.bundle(`https://evil.example/?${subject}`))).toBe('SIGNATURE_UNTRUSTED');
    expect(await verdict(await world.bundle(subject), signers(world.trustRoot, 'https://.*'))).toBe(
      'SIGNATURE_UNTRUSTED',
    );
  });

  it('is none where another issuer says who it is', async () => {
    const other = await world.bundle(subject, soon(0), 'https://evil.example');
    expect(await verdict(other)).toBe('SIGNATURE_UNTRUSTED');
  });

  it('is none of another trust root', async () => {
    const other = await start();
    expect(await verdict(await other.bundle(subject))).not.toBe('none');
    expect(await verdict(await world.bundle(subject), signers(other.trustRoot))).not.toBe('none');
  });

  it('is expired where its certificate was over, or not yet valid, when it was used', async () => {
    expect(await verdict(await world.bundle(subject, soon(24 * hour)))).toBe('SIGNATURE_EXPIRED');
    expect(await verdict(await world.bundle(subject, soon(-24 * hour)))).toBe('SIGNATURE_EXPIRED');
  });

  it('is expired where nothing proves when its certificate was used', async () => {
    const { bundle } = world;
    const untimed = JSON.parse(Buffer.from(await bundle(subject)).toString()) as {
      verificationMaterial: { timestampVerificationData?: unknown };
    };
    delete untimed.verificationMaterial.timestampVerificationData;
    expect(await verdict(Buffer.from(JSON.stringify(untimed)))).toBe('SIGNATURE_EXPIRED');
  });

  it('is none where a trust root cannot be read, and keys beside it go on', async () => {
    const broken = signers('{"certificateAuthorities": 7}');
    expect(await verdict(await world.bundle(subject), broken)).toBe('SIGNATURE_UNTRUSTED');
  });
});
