import type { ApiKey, Right } from '../../api/policy.ts';
import type { SecretKey } from '../../api/secret-keys.ts';
import type { PolicyResource, Versioned } from '../../plan/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import type { RoutingTable } from '../routing/table.ts';
import { withinOf } from './addresses.ts';
import { KeySet } from './key-set.ts';

type Body = PolicyResource['body'];

/** Where credentials are: in policies, and out of Secrets. */
type Sources = Pick<RoutingTable, 'policies' | 'keys'>;

/** What every kind of credential of a policy says. */
export type Entry = {
  /** Of the policy. */
  readonly namespace: string;
  /** It is the policy of namespaces without one: it binds its callers to none. */
  readonly isDefault: boolean;
  readonly name: string;
  readonly rights: ReadonlySet<Right>;
  readonly tenant: string | undefined;
};

export type KeyEntry = Entry & {
  /** Who its callers are; undefined: its name. */
  readonly user: string | undefined;
  readonly digest: Buffer;
  /** Wall time in milliseconds. */
  readonly expires: number | undefined;
  readonly isFrom: (address: string | undefined) => boolean;
};

export type IssuerEntry = Entry & {
  readonly audiences: ReadonlySet<string>;
  /** Undefined: all. */
  readonly subjects: ReadonlySet<string> | undefined;
  readonly keys: KeySet;
  readonly userClaim: string;
  readonly tenantClaim: string | undefined;
};

/** The credentials of all policies of a plan, and the keys out of Secrets, by what a request shows of them. Immutable. */
export type Directory = {
  /** By SHA-256 in hexadecimal digits. */
  readonly keys: ReadonlyMap<string, readonly KeyEntry[]>;
  /** By `iss`. */
  readonly issuers: ReadonlyMap<string, readonly IssuerEntry[]>;
  /** By common name. */
  readonly certificates: ReadonlyMap<string, readonly Entry[]>;
  /** No policy has any credential: a request's is compared with nothing, and counts as none. */
  readonly isEmpty: boolean;
};

/**
 * Compiles the policies, in the order of their namespaces. A credential that cannot be used is left out, and the log says
 * so: it lets nobody in.
 */
export const directoryOf = ({ policies, keys: ofSecrets }: Sources, log: Log): Directory => {
  const keys = new Map<string, KeyEntry[]>();
  const issuers = new Map<string, IssuerEntry[]>();
  const certificates = new Map<string, Entry[]>();
  const sets = new Map<string, KeySet>();
  const setOf = (jwks: string): KeySet => {
    const known = sets.get(jwks) ?? new KeySet(jwks);
    sets.set(jwks, known);
    return known;
  };
  let found = 0;
  const usable = (what: object, add: () => void): void => {
    found++;
    try {
      add();
    } catch (error) {
      log.warn({ ...what, err: error }, 'a credential of a policy cannot be used and lets nobody in');
    }
  };

  const sorted = [...policies].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [namespace, { body }] of sorted) {
    const { apiKeys, issuers: trusted, certificates: clients } = body.clients;
    for (const key of apiKeys) {
      usable({ namespace, key: key.name }, () => {
        const isFrom = key.from === undefined ? () => true : withinOf(key.from);
        put(keys, key.sha256, { ...keyEntryOf(namespace, body, key), user: undefined, isFrom });
      });
    }
    for (const one of trusted) {
      usable({ namespace, issuer: one.name }, () => {
        put(issuers, one.issuer, {
          ...entryOf(namespace, body, one),
          audiences: new Set(one.audiences),
          subjects: one.subjects && new Set(one.subjects),
          keys: setOf(one.jwks),
          userClaim: one.userClaim,
          tenantClaim: one.tenantClaim,
        });
      });
    }
    for (const client of clients) {
      usable({ namespace, certificate: client.name }, () => {
        put(certificates, client.commonName, entryOf(namespace, body, client));
      });
    }
  }
  for (const [namespace, { body }] of [...ofSecrets].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const key of body.keys) {
      usable({ namespace, key: key.name }, () => {
        if (keys.has(key.sha256)) throw new RangeError('a policy or another Secret has this key');
        put(keys, key.sha256, {
          ...keyEntryOf(namespace, { isDefault: false }, key),
          user: key.user,
          isFrom: () => true,
        });
      });
    }
  }
  return { keys, issuers, certificates, isEmpty: found === 0 };
};

const keyEntryOf = (
  namespace: string,
  of: Pick<Body, 'isDefault'>,
  key: Pick<ApiKey | SecretKey, 'name' | 'rights' | 'tenant' | 'sha256' | 'expires'>,
): Omit<KeyEntry, 'user' | 'isFrom'> => ({
  ...entryOf(namespace, of, key),
  digest: Buffer.from(key.sha256, 'hex'),
  expires: key.expires === undefined ? undefined : timeOf(key.expires),
});

const timeOf = (text: string): number => {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new RangeError(`${text} is not a time`);
  return time;
};

const entryOf = (
  namespace: string,
  { isDefault }: Pick<Body, 'isDefault'>,
  { name, rights, tenant }: Pick<ApiKey | SecretKey, 'name' | 'rights' | 'tenant'>,
): Entry => ({
  namespace,
  isDefault,
  name,
  // The policy of one namespace gives nothing in others.
  rights: new Set(rights.filter((right) => isDefault || right !== 'Namespaces')),
  tenant,
});

const put = <E>(map: Map<string, E[]>, key: string, entry: E): void => {
  const known = map.get(key);
  if (known === undefined) map.set(key, [entry]);
  else known.push(entry);
};

/** The directory of a table, made again only when what it is made of is another. */
export class Directories {
  readonly #log: Log;
  #sources: Sources | undefined;
  #directory: Directory | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  of(sources: Sources): Directory {
    const before = this.#sources;
    const isSame = isSameMap(before?.policies, sources.policies) && isSameMap(before?.keys, sources.keys);
    if (this.#directory === undefined || !isSame) this.#directory = directoryOf(sources, this.#log);
    this.#sources = sources;
    return this.#directory;
  }
}

type Table = ReadonlyMap<string, Versioned>;

const isSameMap = (before: Table | undefined, now: Table): boolean =>
  before === now ||
  (before?.size === now.size &&
    [...now].every(([namespace, { version }]) => before.get(namespace)?.version === version));
