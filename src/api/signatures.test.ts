import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signaturesSchema, signersSchema } from './signatures.ts';

const pemOf = (key: KeyObject, type: 'spki' | 'pkcs8' = 'spki'): string =>
  String(key.export({ type, format: 'pem' }));
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const good = { name: 'release', publicKey: pemOf(publicKey) };
const identity = { name: 'ci', issuer: 'https://issuer.example', subject: 'release@example.com' };

const problemsOf = (value: unknown): readonly string[] => {
  const { error } = signersSchema.safeParse(value);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
};

describe('who has to have signed', () => {
  it('is required unless the policy says otherwise', () => {
    expect(signaturesSchema.parse({ keys: [good] })).toEqual({
      required: true,
      keys: [good],
      identities: [],
    });
  });

  it('is a key or an identity at least, and an identity needs a trust root', () => {
    expect(problemsOf({ keys: [good] })).toEqual([]);
    expect(problemsOf({})).toEqual([': must have a key or an identity: else nothing could be signed']);
    expect(problemsOf({ identities: [identity] })).toEqual(['identities: identities need trustRoot']);
    expect(problemsOf({ identities: [identity], trustRoot: '{"certificateAuthorities":[]}' })).toEqual([]);
    expect(problemsOf({ identities: [identity], trustRoot: '{}' })).toEqual([
      'trustRoot: must be a trusted_root.json of sigstore, with certificateAuthorities',
    ]);
  });

  it.each([
    ['a private key', pemOf(privateKey, 'pkcs8')],
    ['no key', 'hello'],
    ['a key on another curve', pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)],
    ['a short RSA key', pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)],
    ['a key for another use', pemOf(generateKeyPairSync('x25519').publicKey)],
  ])('is not %s', (_, pem) => {
    expect(problemsOf({ keys: [{ ...good, publicKey: pem }] })).toEqual([
      expect.stringContaining('keys.0.publicKey: must be a public key in PEM'),
    ]);
  });

  it('has names of its own', () => {
    expect(problemsOf({ keys: [good, good] })).toEqual([
      expect.stringContaining('keys.1.name: must be unique'),
    ]);
  });
});
