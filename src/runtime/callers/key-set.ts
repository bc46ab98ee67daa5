import { createLocalJWKSet, errors, type JSONWebKeySet, jwtVerify } from 'jose';

/** Signatures by a private key alone: with a shared one, whoever verifies could sign. */
export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Seconds by which the clocks of an issuer and of this node may differ. */
export const leewaySeconds = 60;

/** The public keys of an issuer. */
export class KeySet {
  readonly #keys: ReturnType<typeof createLocalJWKSet>;

  /** @throws Error for text that is not a JSON Web Key Set */
  constructor(jwks: string) {
    this.#keys = createLocalJWKSet(JSON.parse(jwks) as JSONWebKeySet);
  }

  /**
   * Returns for a token that one of the keys signed, that says when it ends, and whose time it is.
   * @param at wall time in milliseconds
   * @throws Error of jose that says what is wrong
   */
  async verify(token: string, issuer: string, at: number): Promise<void> {
    const options = {
      algorithms: [...algorithms],
      issuer,
      clockTolerance: leewaySeconds,
      currentDate: new Date(at),
      requiredClaims: ['exp'],
    };
    try {
      await jwtVerify(token, this.#keys, options);
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      // A token without `kid`, and several keys of its kind.
      for await (const key of error) {
        try {
          await jwtVerify(token, key, options);
          return;
        } catch (refusal) {
          if (!(refusal instanceof errors.JWSSignatureVerificationFailed)) throw refusal;
        }
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }
}
