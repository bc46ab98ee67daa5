import { createPrivateKey, type KeyObject, scryptSync } from 'node:crypto';
import nacl from 'tweetnacl';
import { z } from 'zod';
import { isSupportedKey } from '../api/signatures.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/** What cosign encrypts with (sigstore/sigstore pkg/signature/kms and cosign's encrypted package), JSON within PEM. */
const encryptedSchema = z.object({
  kdf: z.object({
    name: z.literal('scrypt'),
    params: z.object({
      // More would take more than 1 GiB of memory.
      N: z
        .int()
        .min(2)
        .max(2 ** 20),
      r: z.int().min(1).max(8),
      p: z.int().min(1).max(16),
    }),
    salt: z.base64(),
  }),
  cipher: z.object({ name: z.literal('nacl/secretbox'), nonce: z.base64() }),
  ciphertext: z.base64(),
});

const encryptedForm =
  /^-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END ENCRYPTED \1 PRIVATE KEY-----\s*$/;

const secretboxKeyBytes = 32;

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));

const decrypted = (base64: string, password: string, where: string): Buffer => {
  let parts: z.infer<typeof encryptedSchema>;
  try {
    parts = encryptedSchema.parse(JSON.parse(Buffer.from(base64, 'base64').toString('utf8')));
  } catch (error) {
    throw new AdaptletError('SIGNING_KEY_INVALID', `${where} is no encrypted key of cosign`, {
      cause: error,
    });
  }
  const { kdf, cipher, ciphertext } = parts;
  const { N, r, p } = kdf.params;
  const key = scryptSync(password, bytesOf(kdf.salt), secretboxKeyBytes, { N, r, p, maxmem: 256 * N * r });
  const nonce = bytesOf(cipher.nonce);
  const plain =
    nonce.length === nacl.secretbox.nonceLength
      ? nacl.secretbox.open(bytesOf(ciphertext), nonce, Uint8Array.from(key))
      : null;
  if (plain === null)
    throw new AdaptletError('SIGNING_KEY_INVALID', `${where} does not open with this password`, {
      advice: 'Set COSIGN_PASSWORD to the password that the key was made with.',
    });
  return Buffer.from(plain);
};

/**
 * A private key that can sign: encrypted as cosign writes it, or PKCS #8 in PEM, encrypted or not. `where` names it in
 * messages, which never have anything of the key or the password.
 * @throws AdaptletError SIGNING_KEY_INVALID
 */
export const readSigningKey = (pem: string, password: string | undefined, where: string): KeyObject => {
  const encrypted = encryptedForm.exec(pem.trimStart())?.[2];
  if (encrypted !== undefined && password === undefined)
    throw new AdaptletError('SIGNING_KEY_INVALID', `${where} is encrypted`, {
      advice: 'Set COSIGN_PASSWORD to its password, which may be empty.',
    });
  let key: KeyObject;
  try {
    key =
      encrypted === undefined
        ? createPrivateKey({ key: pem, ...(password === undefined ? {} : { passphrase: password }) })
        : createPrivateKey({
            key: decrypted(encrypted, password ?? '', where),
            format: 'der',
            type: 'pkcs8',
          });
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    // Without the cause: what OpenSSL says may be about the password.
    throw new AdaptletError('SIGNING_KEY_INVALID', `${where} is no private key that can be read`);
  }
  if (isSupportedKey(key)) return key;
  throw new AdaptletError('SIGNING_KEY_INVALID', `${where} is a key of the kind ${key.asymmetricKeyType}`);
};
