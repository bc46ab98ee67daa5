import type { ObjectKey } from '../../api/names.ts';
import type { PolicyObject } from '../../api/objects.ts';
import { policyName } from '../../api/policy.ts';
import { keyOf } from '../../api/references.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { defaultPolicyNamespace, type PolicyOf } from '../../plan/policies.ts';
import type { Collection, ObjectChange, Read } from './objects.ts';
import { namespaceOf } from './scope.ts';

/** What binds a namespace: a policy; `Unknown`: one that is not valid, and of which this replica saw no valid version. */
export type Binding =
  | { readonly kind: 'None' }
  | { readonly kind: 'Policy'; readonly policy: PolicyObject }
  | { readonly kind: 'Unknown'; readonly key: ObjectKey };

/**
 * The policies in force. One that became invalid stays in force as it was when it was last valid.
 *
 * Guarantee: listeners are called after the change is in force.
 */
export class Policies {
  /** Whose policy holds for namespaces without one. */
  readonly namespace: string;
  readonly #bindings = new Map<string, Exclude<Binding, { kind: 'None' }>>();
  readonly #listeners = new Set<(isBound: (namespace: string) => boolean) => void>();
  readonly #stop: () => void;

  constructor(collection: Collection<PolicyObject>, namespace = defaultPolicyNamespace) {
    this.namespace = namespace;
    this.#stop = collection.onChange((change) => this.#follow(change));
    for (const read of collection.list()) if (isNamed(read.key)) this.#put(read);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  of(namespace: string): Binding {
    return this.#bindings.get(namespace) ?? this.#bindings.get(this.namespace) ?? { kind: 'None' };
  }

  /** The policy that is known to hold for a namespace. */
  readonly policyOf: PolicyOf = (namespace) => {
    const binding = this.of(namespace);
    return binding.kind === 'Policy' ? binding.policy : undefined;
  };

  /** The policy in force with that key. */
  readonly inForce = (key: ObjectKey): PolicyObject | undefined =>
    isNamed(key) ? this.#own(namespaceOf(key)) : undefined;

  /** The namespaces that the policy of this one may hold for. */
  boundBy(changed: string): (namespace: string) => boolean {
    return (namespace) =>
      namespace === changed || (changed === this.namespace && !this.#bindings.has(namespace));
  }

  /** Every policy in force, by its namespace. */
  list(): Iterable<readonly [string, Exclude<Binding, { kind: 'None' }>]> {
    return this.#bindings;
  }

  /** Tells which namespaces another policy may hold for. The result ends it. */
  onChange(listener: (isBound: (namespace: string) => boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #follow({ type, key, object }: ObjectChange<PolicyObject>): void {
    if (!isNamed(key)) return;
    const changed = namespaceOf(key);
    if (type === 'deleted') this.#bindings.delete(changed);
    else this.#put(object);
    const isBound = this.boundBy(changed);
    for (const listener of this.#listeners) listener(isBound);
  }

  #own(namespace: string): PolicyObject | undefined {
    const binding = this.#bindings.get(namespace);
    return binding?.kind === 'Policy' ? binding.policy : undefined;
  }

  #put({ key, metadata, object }: Read<PolicyObject>): void {
    const namespace = namespaceOf(key);
    const before = this.#bindings.get(namespace);
    if (object !== undefined) this.#bindings.set(namespace, { kind: 'Policy', policy: object });
    else if (before?.kind !== 'Policy' || before.policy.metadata.uid !== metadata.uid)
      this.#bindings.set(namespace, { kind: 'Unknown', key });
  }
}

/** Hosts that metrics of a namespace may come from; undefined: any. What is not known yet allows none. */
export const metricHostsOf = (binding: Binding): readonly string[] | undefined => {
  if (binding.kind === 'Unknown') return [];
  return binding.kind === 'Policy' ? binding.policy.spec.sources.metricHosts : undefined;
};

/**
 * Why a pod is no runtime of its namespace (POD_NOT_ALLOWED); undefined: it may be one, as where there is no policy at all.
 * `what`: the pod, for people.
 */
export const podRefusal = (binding: Binding, what: string): AdaptletError | undefined => {
  if (binding.kind === 'None') return undefined;
  if (binding.kind === 'Unknown') {
    const why = `the policy ${binding.key} is not valid, so nobody knows whether pods may be runtimes`;
    return new AdaptletError('POD_NOT_ALLOWED', `${what} is not accepted: ${why}`, {
      advice: `Ask the administrator to correct the AdapterPolicy ${binding.key}.`,
    });
  }
  const { policy } = binding;
  const { pods } = policy.spec.runtimes;
  return pods === 'Allow'
    ? undefined
    : new AdaptletError(
        'POD_NOT_ALLOWED',
        `${what} is not accepted: the policy ${keyOf(policy)} has spec.runtimes.pods: ${pods}`,
      );
};

/** The API server takes no policy of another name. */
const isNamed = (key: ObjectKey): boolean => key.endsWith(`/${policyName}`);
