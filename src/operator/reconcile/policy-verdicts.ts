import type { ObjectKey } from '../../api/names.ts';
import type { AdapterObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { type PolicyRefusal, refusedAdapters, sourceRefusal } from '../../plan/policies.ts';
import type { ObjectChange } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { namespaceOf } from '../objects/scope.ts';
import type { Caches } from './controller.ts';

/** Why an Adapter is in no plan. */
export type Verdict =
  | PolicyRefusal
  /** Nobody knows what holds: what runtimes have stays, and nothing new is begun. */
  | { readonly reason: 'PolicyInvalid'; readonly message: string };

/** A policy that is not valid changes nothing. */
export const isKeptOut = (verdict: Verdict | undefined): verdict is PolicyRefusal =>
  verdict !== undefined && verdict.reason !== 'PolicyInvalid';

type Refused = ReadonlyMap<ObjectKey, PolicyRefusal>;

/**
 * Which Adapters the policies of their namespaces keep out of plans, kept up with the caches. Only where a policy limits
 * how many count does an Adapter depend on the others of its namespace.
 */
export class PolicyVerdicts {
  readonly #adapters: Caches['adapters'];
  readonly #policies: Policies;
  /** By namespace with a limit. */
  readonly #refused = new Map<string, Refused>();
  readonly #listeners = new Set<(key: ObjectKey) => void>();
  readonly #stops: readonly (() => void)[];

  constructor({ adapters }: Pick<Caches, 'adapters'>, policies: Policies) {
    this.#adapters = adapters;
    this.#policies = policies;
    this.#stops = [
      adapters.onChange((change) => {
        if (isOther(change)) this.#count(namespaceOf(change.key));
      }),
      policies.onChange((isBound) => {
        for (const namespace of this.#refused.keys()) if (isBound(namespace)) this.#refused.delete(namespace);
        for (const { key } of adapters.list()) if (isBound(namespaceOf(key))) this.#tell(key);
      }),
    ];
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#listeners.clear();
  }

  /** Why it is in no plan; undefined: no policy says so. */
  of(adapter: AdapterObject): Verdict | undefined {
    const { namespace } = adapter.metadata;
    const binding = this.#policies.of(namespace);
    switch (binding.kind) {
      case 'None':
        return undefined;
      case 'Unknown': {
        const message = `the AdapterPolicy ${binding.key} is not valid: nothing changes before it is corrected`;
        return { reason: 'PolicyInvalid', message };
      }
      case 'Policy': {
        const { policy } = binding;
        if (policy.spec.limits.adapters === undefined) return sourceRefusal(adapter, policy);
        return (this.#refused.get(namespace) ?? this.#count(namespace)).get(keyOf(adapter));
      }
    }
  }

  /** Called for each Adapter whose verdict may be another one through a change of a policy or of other Adapters. */
  onChange(listener: (key: ObjectKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #count(namespace: string): Refused {
    const before = this.#refused.get(namespace) ?? new Map<ObjectKey, PolicyRefusal>();
    if (this.#policies.policyOf(namespace)?.spec.limits.adapters === undefined) return before;
    const objects = [...this.#adapters.list()].flatMap(({ key, object }) =>
      object !== undefined && namespaceOf(key) === namespace ? [object] : [],
    );
    const now = refusedAdapters(objects, this.#policies.policyOf);
    this.#refused.set(namespace, now);
    for (const key of new Set([...before.keys(), ...now.keys()]))
      if (before.get(key)?.message !== now.get(key)?.message) this.#tell(key);
    return now;
  }

  #tell(key: ObjectKey): void {
    for (const listener of this.#listeners) listener(key);
  }
}

/** Another object, another spec, or no longer one that can be read. What only the status says counts for nobody. */
const isOther = ({ type, object, before }: ObjectChange<AdapterObject>): boolean =>
  type !== 'updated' ||
  object.metadata.uid !== before?.metadata.uid ||
  object.metadata.generation !== before.metadata.generation ||
  (object.object === undefined) !== (before.object === undefined);
