import { formed, matching } from './text.ts';

/** group/version of every kind. */
export const apiVersion = 'adaptlet.io/v1alpha1';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** `sha256:` and 64 lowercase hexadecimal digits. */
export type Digest = Brand<string, 'Digest'>;
/** An object of a namespace, written `namespace/name`. The key of every table that holds Adapters, rollouts or routes. */
export type ObjectKey = Brand<string, 'ObjectKey'>;

const digestPattern = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (value: string): value is Digest => digestPattern.test(value);

export const objectKey = (namespace: string, name: string): ObjectKey => `${namespace}/${name}` as ObjectKey;

/** Names of objects have no "/". */
export const namespaceOf = (key: ObjectKey): string => key.slice(0, key.indexOf('/'));

/** The first 12 hexadecimal digits of a digest, for people and for engine-side names. */
export const shortDigest = (digest: Digest): string => digest.slice('sha256:'.length, 'sha256:'.length + 12);

/** A DNS-1123 subdomain, as Kubernetes asks of object names. */
export const nameSchema = formed(
  253,
  matching(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ),
);

/** A DNS-1123 label. */
const dnsLabel = () =>
  formed(
    63,
    matching(
      /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
      'must be lower-case letters, digits or "-" and start and end with a letter or digit',
    ),
  );
/** The name of something inside of an object. */
export const labelNameSchema = dnsLabel();
/** A namespace, as Kubernetes asks of it. */
export const namespaceSchema = dnsLabel();

/**
 * A name that clients send as `model`: of a route or of a base model. No "/" and no ":": those say which namespace
 * and which kind of object is meant (`team-a/sql`, `rollout:sql`).
 */
export const modelNameSchema = formed(
  128,
  matching(
    /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/,
    'must be letters, digits, ".", "_" or "-" and start and end with a letter or digit; "/" and ":" are not part of a model name',
  ),
);

export const digestSchema = formed(
  71,
  matching(digestPattern, 'must be sha256: followed by 64 lowercase hexadecimal digits'),
).transform((value) => value as Digest);
