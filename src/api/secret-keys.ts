import { z } from 'zod';
import { apiKeySchema, rights } from './policy.ts';
import { line } from './text.ts';

/** A Secret says by this label that it has keys of callers. */
export const apiKeysLabel = 'adaptlet.io/api-keys';

/** Annotations of such a Secret. Rights are separated by commas; `expires` is a time in UTC. */
export const keyAnnotations = {
  user: 'adaptlet.io/user',
  tenant: 'adaptlet.io/tenant',
  rights: 'adaptlet.io/rights',
  expires: 'adaptlet.io/expires',
} as const;

/**
 * Keys of the data of such a Secret, for the present key and for the one that follows it: the key itself, or its SHA-256
 * in hexadecimal digits, as a file or a person writes it.
 */
export const keySlots = {
  present: { plain: 'key', digest: 'sha256' },
  next: { plain: 'next-key', digest: 'next-sha256' },
} as const;

/** Secrets with keys of a namespace that count, the oldest first. */
export const maxKeySecrets = 128;
/** Each has two keys at most. */
const maxKeys = 2 * maxKeySecrets;

/** A key out of a Secret, as plans have it. */
const secretKeySchema = z.strictObject({
  /** `secret:NAME` of the Secret, or `secret:NAME:next`: no key of a policy has a name with a colon. */
  name: line(320),
  sha256: apiKeySchema.shape.sha256,
  /** Who its callers are. */
  user: line(256),
  tenant: line(256).exactOptional(),
  rights: z.array(z.enum(rights)).max(rights.length),
  expires: apiKeySchema.shape.expires.unwrap().exactOptional(),
});
export type SecretKey = z.infer<typeof secretKeySchema>;

export const secretKeysSchema = z.strictObject({ keys: z.array(secretKeySchema).max(maxKeys) });
