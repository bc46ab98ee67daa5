import { createHash } from 'node:crypto';
import { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Headers, or gRPC metadata keys, that a credential comes in. Nothing behind the servers sees them. */
export const credentialHeaders = ['authorization', 'x-api-key'] as const;

/**
 * The key or token of a request, or undefined.
 * @throws UNAUTHENTICATED for another scheme than Bearer, and for two different credentials
 */
export const credentialOf = (headers: ReadonlyMap<string, string>): string | undefined => {
  const authorization = headers.get('authorization')?.trim() ?? '';
  const apiKey = headers.get('x-api-key')?.trim() ?? '';
  const bearer = /^Bearer +([^\s,]+)$/i.exec(authorization)?.[1];
  if (authorization !== '' && bearer === undefined) {
    throw new AdaptletError('UNAUTHENTICATED', 'the header authorization is not one "Bearer KEY"');
  }
  if (bearer === undefined) return apiKey === '' ? undefined : apiKey;
  if (apiKey !== '' && apiKey !== bearer) {
    throw new AdaptletError('UNAUTHENTICATED', 'authorization and x-api-key have different credentials');
  }
  return bearer;
};

/** SHA-256 of a key or token. */
export const digestOf = (credential: string): Buffer => createHash('sha256').update(credential).digest();
