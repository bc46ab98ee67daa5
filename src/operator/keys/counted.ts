import type { ObjectKey } from '../../api/names.ts';
import type { Right } from '../../api/policy.ts';
import { maxKeySecrets, type SecretKey } from '../../api/secret-keys.ts';
import type { KeySecret } from './secret.ts';

/** What counts of the Secrets with keys of some namespaces. */
export type Counted = {
  /** By namespace, also where there are none. */
  readonly keys: ReadonlyMap<string, readonly SecretKey[]>;
  /** What does not count of a Secret, and why; for people. */
  readonly problems: ReadonlyMap<ObjectKey, string>;
};

type KeysInput = {
  /** The Secrets of each namespace whose policy allows them. */
  readonly secrets: ReadonlyMap<string, readonly KeySecret[]>;
  /** Digests of the keys that policies have. */
  readonly ofPolicies: ReadonlySet<string>;
  /** The most rights that a key of the namespace may have. */
  readonly rightsOf: (namespace: string) => readonly Right[];
};

/**
 * Which keys count: of each namespace those of the oldest Secrets, with the rights that its policy leaves them. A key that
 * a policy has counts there alone, and one that two Secrets have counts in neither: else whoever learns of a key, or of
 * its digest, could bring its callers into another namespace. Pure.
 */
export const countedKeys = ({ secrets, ofPolicies, rightsOf }: KeysInput): Counted => {
  const problems = new Map<ObjectKey, string>();
  const usable = new Map(
    [...secrets].map(([namespace, all]) => [namespace, oldestOf(all, problems)] as const),
  );
  const holders = new Map<string, number>();
  for (const one of [...usable.values()].flat())
    for (const { sha256 } of one.keys) holders.set(sha256, (holders.get(sha256) ?? 0) + 1);

  const keys = new Map<string, readonly SecretKey[]>();
  for (const [namespace, all] of usable) {
    const allowed = rightsOf(namespace);
    const counted = all.flatMap(({ key, keys: own }) => {
      const why = new Set<string>();
      const left = own.flatMap((one): SecretKey[] => {
        if (ofPolicies.has(one.sha256))
          why.add('an AdapterPolicy has the key already: it counts there alone');
        else if (holders.get(one.sha256) !== 1)
          why.add('another Secret has the same key: it counts in neither');
        else return [{ ...one, rights: one.rights.filter((right) => allowed.includes(right)) }];
        return [];
      });
      const lacking = (own[0]?.rights ?? []).filter((right) => !allowed.includes(right));
      if (lacking.length > 0)
        why.add(
          `without ${lacking.join(', ')}: spec.clients.rightsFromSecrets of the policy does not have it`,
        );
      if (why.size > 0) problems.set(key, [...why].join('; '));
      return left;
    });
    keys.set(namespace, counted);
  }
  return { keys, problems };
};

type Usable = Extract<KeySecret, { keys: unknown }>;

/** Those that can be read, as many as count. */
const oldestOf = (all: readonly KeySecret[], problems: Map<ObjectKey, string>): Usable[] => {
  const readable = all.flatMap((one): Usable[] => {
    if (!('problem' in one)) return [one];
    problems.set(one.key, one.problem);
    return [];
  });
  const sorted = readable.toSorted((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1));
  for (const { key } of sorted.slice(maxKeySecrets))
    problems.set(
      key,
      `there are more than ${maxKeySecrets} Secrets with keys in the namespace: the oldest count`,
    );
  return sorted.slice(0, maxKeySecrets);
};

const ageOf = ({ key, metadata }: KeySecret): string => `${metadata.creationTimestamp} ${key}`;
