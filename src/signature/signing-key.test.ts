import { generateKeyPairSync, randomBytes, scryptSync } from 'node:crypto';
import nacl from 'tweetnacl';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { signersSchema } from '../api/signatures.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { requirementOf } from './requirement.ts';
import { signDigest } from './sign.ts';
import { readSigningKey } from './signing-key.ts';
import { verifySignatures } from './verify.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });

/** As cosign generate-key-pair writes it. */
const cosignKey = (password: string, label = 'SIGSTORE', params = { N: 32_768, r: 8, p: 1 }): string => {
  const [salt, nonce] = [randomBytes(32), randomBytes(24)];
  const key = scryptSync(password, salt, 32, { ...params, maxmem: 1 << 30 });
  const ciphertext = nacl.secretbox(Uint8Array.from(pkcs8), Uint8Array.from(nonce), Uint8Array.from(key));
  const text = JSON.stringify({
    kdf: { name: 'scrypt', params, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(ciphertext).toString('base64'),
  });
  const lines =
    Buffer.from(text)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  const name = `ENCRYPTED ${label} PRIVATE KEY`;
  return `-----BEGIN ${name}-----\n${lines.join('\n')}\n-----END ${name}-----\n`;
};

const read = (pem: string, password?: string) => readSigningKey(pem, password, 'cosign.key');

describe('a signing key', () => {
  it.each(['SIGSTORE', 'COSIGN'])('is read as cosign encrypts it (%s)', (label) => {
    expect(read(cosignKey('secret', label), 'secret').equals(privateKey)).toBe(true);
  });

  it('may have the empty password', () => {
    expect(read(cosignKey(''), '').equals(privateKey)).toBe(true);
  });

  it.each([
    ['PKCS #8', privateKey.export({ type: 'pkcs8', format: 'pem' }), undefined],
    [
      'PKCS #8 with a password',
      privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }),
      'secret',
    ],
    ['SEC 1', privateKey.export({ type: 'sec1', format: 'pem' }), undefined],
  ])('is read as openssl writes it: %s', (_, pem, password) => {
    expect(read(String(pem), password).equals(privateKey)).toBe(true);
  });

  it.each([
    ['without its password', cosignKey('secret'), undefined, 'is encrypted. Set COSIGN_PASSWORD'],
    ['with another password', cosignKey('secret'), 'wrong', 'does not open with this password'],
    [
      'that is a public key',
      String(publicKey.export({ type: 'spki', format: 'pem' })),
      undefined,
      'no private key',
    ],
    ['that is nothing', 'hello', undefined, 'no private key'],
    [
      'on another curve',
      String(
        generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
        }),
      ),
      undefined,
      'is a key of the kind ec',
    ],
  ])('%s is refused, and the message says nothing of it', async (_, pem, password, text) => {
    expect(await codeOf(() => read(pem, password))).toBe('SIGNING_KEY_INVALID');
    expect(() => read(pem, password)).toThrow(text);
    expect(() => read(pem, password)).not.toThrow('wrong');
  });

  it('that asks for a gigabyte of memory is refused before it gets it', () => {
    const text = JSON.stringify({
      kdf: { name: 'scrypt', params: { N: 2 ** 30, r: 8, p: 1 }, salt: 'AAAA' },
      cipher: { name: 'nacl/secretbox', nonce: 'AAAA' },
      ciphertext: 'AAAA',
    });
    const name = 'ENCRYPTED SIGSTORE PRIVATE KEY';
    const pem = `-----BEGIN ${name}-----\n${Buffer.from(text).toString('base64')}\n-----END ${name}-----\n`;
    expect(() => read(pem, '')).toThrow('is no encrypted key of cosign');
  });
});

describe('a signature', () => {
  it.each([
    ['ECDSA P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['Ed25519', generateKeyPairSync('ed25519')],
  ])('with %s is verified', (_, pair) => {
    const digest = fakeDigest('a');
    const pem = pair.publicKey.export({ type: 'spki', format: 'pem' });
    const signers = signersSchema.parse({ keys: [{ name: 'key', publicKey: pem }] });
    const requirement = requirementOf(undefined, signers) ?? { version: '', demands: [] };
    const bundle = signDigest(digest, pair.privateKey);
    expect(verifySignatures([bundle], digest, requirement)).toEqual({ signers: ['key'] });
  });
});
