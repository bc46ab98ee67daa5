import { Buffer } from 'node:buffer';
import { z } from 'zod';
import { nameSchema, namespaceSchema } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/** What an administrator carries to a device: where its operator is, by what it is known, and what lets the device in once. */
export type EnrolmentToken = {
  /** host:port. */
  readonly address: string;
  /** Certificate of the authority for devices, in DER as base64. */
  readonly authority: string;
  /** Of the AdapterRuntime. */
  readonly namespace: string;
  readonly name: string;
  /** 32 random bytes as base64url. The cluster has their hash. */
  readonly secret: string;
};

/** Longest text of a token, in characters. */
const maxLength = 4096;
const prefix = 'adaptlet-enrol-1.';

/** host:port, as a runtime dials it. */
export const addressPattern = /^(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}$/;

const schema = z.strictObject({
  address: z.string().max(300).regex(addressPattern),
  authority: z.base64().max(2048),
  namespace: namespaceSchema,
  name: nameSchema,
  secret: z.string().regex(/^[\w-]{43}$/),
});

export const tokenText = (token: EnrolmentToken): string =>
  prefix + Buffer.from(JSON.stringify(token), 'utf8').toString('base64url');

/** @throws CONFIG_INVALID */
export const readToken = (text: string, where: string): EnrolmentToken => {
  const trimmed = text.trim();
  if (trimmed.length > maxLength || !trimmed.startsWith(prefix)) throw invalid(where);
  try {
    return schema.parse(JSON.parse(Buffer.from(trimmed.slice(prefix.length), 'base64url').toString('utf8')));
  } catch {
    throw invalid(where);
  }
};

const invalid = (where: string): AdaptletError =>
  new AdaptletError('CONFIG_INVALID', `${where} is no token of "kubectl adaptlet enrol", or a part of one`, {
    advice: 'Copy the whole line that the command printed, or make another token.',
  });

/** DER in base64 as PEM. */
export const certificatePem = (base64: string): string =>
  `-----BEGIN CERTIFICATE-----\n${base64.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END CERTIFICATE-----\n`;

const zero = Buffer.from([0]);

/** What is signed when a device enrols. */
export const enrolStatement = (secret: string, publicKey: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('adaptlet enrol v1'), zero, Buffer.from(secret, 'utf8'), zero, publicKey]);

/** What is signed when a device renews. `certificate`: DER. */
export const renewStatement = (certificate: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from('adaptlet renew v1'), zero, certificate]);
