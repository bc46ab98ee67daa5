import { createHash } from 'node:crypto';
import { cut } from '../../api/condition.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { apiKeySchema, type Right, rights } from '../../api/policy.ts';
import { keyAnnotations, keySlots, type SecretKey, secretKeysSchema } from '../../api/secret-keys.ts';
import type { KubeMetadata, KubeObject } from '../../kube/client/object.ts';

/** A Secret with keys as the operator keeps it: digests, and nothing else of its data. */
export type KeySecret = {
  readonly key: ObjectKey;
  readonly resourceVersion: string;
  /** Without labels and annotations: kubectl keeps a copy of all data in one of them. */
  readonly metadata: KubeMetadata;
} & ({ readonly keys: readonly SecretKey[] } | { readonly problem: string });

type Data = Readonly<Record<string, string>>;

/** Shortest and longest key. A digest without a salt is only for what nobody guesses. */
const lengths = { min: 32, max: 512 };

/** What cannot be used of a Secret; never has a value in it. */
class Unusable extends Error {}

/** Reads a Secret. Never throws; the keys themselves are in nothing that it gives. */
export const readKeySecret = (raw: KubeObject): KeySecret => {
  const { name, namespace = '', uid, resourceVersion, creationTimestamp } = raw.metadata;
  const base = {
    key: objectKey(namespace, name),
    resourceVersion,
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
  };
  try {
    return { ...base, keys: keysOf(raw) };
  } catch (error) {
    if (error instanceof Unusable) return { ...base, problem: error.message };
    throw error;
  }
};

const keysOf = (raw: KubeObject): SecretKey[] => {
  const { data = {} } = raw as KubeObject & { readonly data?: Data };
  const { name, annotations = {} } = raw.metadata;
  const known: readonly string[] = Object.values(keySlots).flatMap(({ plain, digest }) => [plain, digest]);
  const unknown = Object.keys(data).filter((entry) => !known.includes(entry));
  if (unknown.length > 0)
    throw new Unusable(`the data has ${cut(unknown.join(', '), 120)}: it may have ${known.join(', ')}`);
  const shared = sharedOf(name, annotations);
  const keys = Object.entries(keySlots).flatMap(([slot, entries]): SecretKey[] => {
    const sha256 = digestIn(data, entries);
    if (sha256 === undefined) return [];
    return [{ ...shared, name: slot === 'present' ? `secret:${name}` : `secret:${name}:next`, sha256 }];
  });
  if (keys.length === 0) throw new Unusable(`the data has no key: it may have ${known.join(', ')}`);
  const [first, second] = keys;
  if (first?.sha256 === second?.sha256) throw new Unusable('both keys are the same');
  // What runtimes would refuse would take the keys of all other Secrets with it.
  const read = secretKeysSchema.safeParse({ keys });
  if (read.success) return keys;
  const [issue] = read.error.issues;
  throw new Unusable(`${String(issue?.path.at(-1) ?? 'it')}: ${issue?.message ?? 'cannot be used'}`);
};

/** What the annotations say of both keys. */
const sharedOf = (
  name: string,
  annotations: Readonly<Record<string, string>>,
): Omit<SecretKey, 'name' | 'sha256'> => {
  const of = (what: keyof typeof keyAnnotations): string | undefined => {
    const value = annotations[keyAnnotations[what]]?.trim();
    return value === '' ? undefined : value;
  };
  const tenant = of('tenant');
  const expires = of('expires');
  if (expires !== undefined) {
    const read = apiKeySchema.shape.expires.safeParse(expires);
    const isTime = read.success && !Number.isNaN(Date.parse(expires));
    if (!isTime)
      throw new Unusable(
        `the annotation ${keyAnnotations.expires} must be a time in UTC such as 2027-01-31T00:00:00Z`,
      );
  }
  return {
    user: of('user') ?? name,
    ...(tenant === undefined ? {} : { tenant }),
    rights: rightsIn(of('rights') ?? ''),
    ...(expires === undefined ? {} : { expires }),
  };
};

const isRight = (word: string): word is Right => rights.some((right) => right === word);

const rightsIn = (text: string): Right[] => {
  const words = text.split(',').flatMap((word) => word.trim() || []);
  return [...new Set(words)].map((word) => {
    if (isRight(word)) return word;
    throw new Unusable(
      `the annotation ${keyAnnotations.rights} has ${cut(word, 40)}: there are ${rights.join(', ')}`,
    );
  });
};

/** SHA-256 of the key of a slot; undefined: the slot is empty. */
const digestIn = (data: Data, { plain, digest }: { plain: string; digest: string }): string | undefined => {
  const [key, sha256] = [valueOf(data, plain), valueOf(data, digest)];
  if (key !== undefined && sha256 !== undefined)
    throw new Unusable(`the data has both ${plain} and ${digest}: leave one out`);
  if (sha256 !== undefined) {
    if (!/^[0-9a-f]{64}$/.test(sha256))
      throw new Unusable(`${digest} must be 64 lower-case hexadecimal digits, as adaptlet key prints them`);
    return sha256;
  }
  if (key === undefined) return undefined;
  if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(key) || key.length < lengths.min || key.length > lengths.max)
    throw new Unusable(
      `${plain} must be ${lengths.min} to ${lengths.max} visible ASCII characters without a comma, drawn at random`,
    );
  return createHash('sha256').update(key).digest('hex');
};

/** A file that became a Secret ends with a line break. */
const valueOf = (data: Data, entry: string): string | undefined => {
  const encoded = data[entry];
  if (encoded === undefined) return undefined;
  return Buffer.from(encoded, 'base64').toString('utf8').trimEnd();
};
