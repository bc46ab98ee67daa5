import { z } from 'zod';

/** group/version of every kind. */
export const apiVersion = 'adaptlet.io/v1alpha1';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** `sha256:` and 64 lowercase hexadecimal digits. */
export type Digest = Brand<string, 'Digest'>;
/** An object of a namespace, written `namespace/name`. The key of every table that holds Adapters, rollouts or routes. */
export type ObjectKey = Brand<string, 'ObjectKey'>;

const digestPattern = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: string): text is Digest => digestPattern.test(text);

export const objectKey = (namespace: string, name: string): ObjectKey => `${namespace}/${name}` as ObjectKey;

/** The first 12 hexadecimal digits of a digest, for people and for engine-side names. */
export const shortDigest = (digest: Digest): string => digest.slice('sha256:'.length, 'sha256:'.length + 12);

/** A DNS-1123 label, as Kubernetes asks of object names that become parts of other names. */
export const nameSchema = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, {
  error: 'must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
});

export const digestSchema = z
  .string()
  .regex(digestPattern, { error: 'must be sha256: followed by 64 lowercase hexadecimal digits' })
  .transform((text) => text as Digest);
