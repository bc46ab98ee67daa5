import { type ObjectKey, objectKey } from '../../api/names.ts';
import { apiKeysLabel } from '../../api/secret-keys.ts';
import type { Cache } from '../../kube/informer/cache.ts';
import { createInformer, type Informer, type InformerOptions } from '../../kube/informer/informer.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import { type KeysResource, type Versioned, versioned } from '../../plan/resources.ts';
import type { Policies } from '../objects/policies.ts';
import { secretType } from '../objects/resource-types.ts';
import { type Counted, countedKeys } from './counted.ts';
import { type KeySecret, readKeySecret } from './secret.ts';

/** A Secret may have a mebibyte: a page of these is less than the API client takes, whatever a namespace puts into them. */
const pageSize = 32;

/** The Secrets with keys of one namespace. */
export type SecretsOf = Pick<Informer<KeySecret>, 'start' | 'close'> & {
  readonly cache: Pick<Cache<KeySecret>, 'get' | 'list' | 'hasSynced' | 'onChange' | 'onProgress'>;
};

/** Opens the Secrets with keys of a namespace at the API server. What is kept of them are digests. */
export const secretsAt =
  (parts: Pick<InformerOptions<unknown>, 'api' | 'clock' | 'random' | 'logger'>) =>
  (namespace: string): SecretsOf =>
    createInformer<KeySecret>({
      ...parts,
      type: secretType,
      namespace,
      labelSelector: `${apiKeysLabel}=true`,
      project: readKeySecret,
      timing: { pageSize },
    });

type KeySecretsParts = {
  readonly open: (namespace: string) => SecretsOf;
  /** Namespaces whose Secrets the operator may read. */
  readonly namespaces: readonly string[];
  readonly policies: Pick<Policies, 'of' | 'list' | 'onChange' | 'namespace'>;
};

/** Name of the one resource of a namespace. */
const keysName = (namespace: string): ObjectKey => objectKey(namespace, 'secrets');

/**
 * The keys of callers out of Secrets, in the namespaces that the administrator opened and whose policy allows it. Those of
 * other namespaces, and of the operator's, are not read.
 *
 * Guarantees: a namespace whose Secrets were not read yet is unknown, not empty; one that was followed and is so no more has
 * no keys.
 */
export class KeySecrets {
  readonly #parts: KeySecretsParts;
  readonly #followed = new Map<string, SecretsOf>();
  /** Without keys by now: their resource stays, as an empty one is sooner there than one that goes. */
  readonly #former = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #stop: () => void;
  #counted: Counted | undefined;
  #resources: readonly Versioned<KeysResource>[] | undefined;

  constructor(parts: KeySecretsParts) {
    this.#parts = parts;
    this.#stop = parts.policies.onChange(() => {
      this.#follow();
      this.#changed();
    });
    this.#follow();
  }

  async close(): Promise<void> {
    this.#stop();
    this.#listeners.clear();
    await Promise.all([...this.#followed.values()].map((secrets) => secrets.close()));
  }

  /** What plans have of them. */
  resources(): readonly Versioned<KeysResource>[] {
    this.#resources ??= [
      ...[...this.#count().keys].map(([namespace, keys]) => resourceOf(namespace, keys)),
      ...[...this.#former].map((namespace) => resourceOf(namespace, [])),
    ];
    return this.#resources;
  }

  /** Names of the resources of namespaces of which nobody knows yet what they have. */
  unread(): readonly ObjectKey[] {
    const { namespaces, policies } = this.#parts;
    return namespaces
      .filter((namespace) => {
        if (namespace === policies.namespace) return false;
        const secrets = this.#followed.get(namespace);
        if (secrets !== undefined) return !secrets.cache.hasSynced;
        return policies.of(namespace).kind === 'Unknown';
      })
      .map(keysName);
  }

  /** Every Secret that was read. */
  list(): readonly KeySecret[] {
    return [...this.#followed.values()].flatMap(({ cache }) => cache.list());
  }

  get(key: ObjectKey): KeySecret | undefined {
    return this.#followed.get(key.slice(0, key.indexOf('/')))?.cache.get(key);
  }

  /** What does not count of a Secret, and why; undefined: all of it counts. */
  problemOf(key: ObjectKey): string | undefined {
    return this.#count().problems.get(key);
  }

  /** Whether a policy of this namespace allows keys in vain: the administrator did not open its Secrets. */
  isClosed(namespace: string): boolean {
    const { namespaces, policies } = this.#parts;
    return namespace !== policies.namespace && !namespaces.includes(namespace);
  }

  /** Called when anything of it may be another. The result ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #follow(): void {
    for (const namespace of this.#parts.namespaces) {
      // Those of the operator are for nobody.
      if (namespace === this.#parts.policies.namespace) continue;
      const binding = this.#parts.policies.of(namespace);
      // What was in force stays while nobody knows what holds.
      if (binding.kind === 'Unknown') continue;
      const isAllowed = binding.kind === 'Policy' && binding.policy.spec.clients.keysFromSecrets === 'Allow';
      const secrets = this.#followed.get(namespace);
      if (isAllowed && secrets === undefined) this.#begin(namespace);
      if (isAllowed || secrets === undefined) continue;
      this.#followed.delete(namespace);
      this.#former.add(namespace);
      void secrets.close();
    }
  }

  #begin(namespace: string): void {
    const secrets = this.#parts.open(namespace);
    this.#followed.set(namespace, secrets);
    this.#former.delete(namespace);
    const changed = (): void => {
      // What is left of a watch that was closed says nothing.
      if (this.#followed.get(namespace) === secrets) this.#changed();
    };
    secrets.cache.onChange((change) => {
      if (change.type !== 'updated' || saysOf(change.object) !== saysOf(change.before)) changed();
    });
    let wasSynced = false;
    secrets.cache.onProgress(() => {
      if (wasSynced) return;
      wasSynced = true;
      changed();
    });
    secrets.start();
  }

  #changed(): void {
    this.#counted = undefined;
    this.#resources = undefined;
    for (const listener of this.#listeners) listener();
  }

  #count(): Counted {
    this.#counted ??= countedKeys({
      secrets: new Map(
        [...this.#followed].flatMap(([namespace, { cache }]) =>
          cache.hasSynced ? [[namespace, cache.list()] as const] : [],
        ),
      ),
      ofPolicies: this.#digestsOfPolicies(),
      rightsOf: (namespace) => {
        const binding = this.#parts.policies.of(namespace);
        return binding.kind === 'Policy' ? (binding.policy.spec.clients.rightsFromSecrets ?? []) : [];
      },
    });
    return this.#counted;
  }

  #digestsOfPolicies(): ReadonlySet<string> {
    return new Set(
      [...this.#parts.policies.list()].flatMap(([, binding]) =>
        binding.kind === 'Policy' ? binding.policy.spec.clients.apiKeys.map(({ sha256 }) => sha256) : [],
      ),
    );
  }
}

const resourceOf = (namespace: string, keys: KeysResource['body']['keys']): Versioned<KeysResource> =>
  versioned({ type: 'Keys', name: keysName(namespace), body: { keys } });

/** Everything of a Secret that a plan or an event may depend on: controllers touch Secrets for many reasons. */
const saysOf = (secret: KeySecret): string => {
  const { metadata } = secret;
  return canonicalJson([metadata.uid, 'keys' in secret ? secret.keys : secret.problem]);
};
