import { createECDH, createPrivateKey, sign } from 'node:crypto';
import { byteMutators } from './bytes.ts';
import type { Mutator } from './choices.ts';
import { json } from './json.ts';

/** A key of no secret: the same in every run, so that what was found can be run again. */
const curve = createECDH('prime256v1');
curve.setPrivateKey(Buffer.alloc(32, 7));
const point = curve.getPublicKey();
const publicJwk = {
  kty: 'EC',
  crv: 'P-256',
  x: point.subarray(1, 33).toString('base64url'),
  y: point.subarray(33).toString('base64url'),
};
const key = createPrivateKey({
  key: { ...publicJwk, d: Buffer.alloc(32, 7).toString('base64url') },
  format: 'jwk',
});

export const jwks = { keys: [{ ...publicJwk, alg: 'ES256', kid: 'a', use: 'sig' }] };

const encoded = (value: Uint8Array | string): string => Buffer.from(value).toString('base64url');

/** A JSON Web Token of two parts that are texts already. */
export const signedToken = (header: Uint8Array | string, payload: Uint8Array | string): string => {
  const content = `${encoded(header)}.${encoded(payload)}`;
  return `${content}.${sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
};

/** Changes header and claims of a token and mostly signs it again. */
export const token: Mutator = (bytes, choices, other) => {
  const [header = '', payload = '', signature = ''] = Buffer.from(bytes).toString('latin1').split('.');
  if (payload === '') return choices.pick(byteMutators)(bytes, choices, other);
  const part = (text: string): Uint8Array => Buffer.from(text, 'base64url');
  const changedHeader = choices.chance(0.2) ? json(part(header), choices, other) : part(header);
  const changedPayload = choices.chance(0.9) ? json(part(payload), choices, other) : part(payload);
  if (choices.chance(0.8)) return Buffer.from(signedToken(changedHeader, changedPayload));
  return Buffer.from(`${encoded(changedHeader)}.${encoded(changedPayload)}.${signature}`);
};
