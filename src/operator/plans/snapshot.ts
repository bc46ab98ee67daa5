import type { ObjectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { compilePlan, type RuntimeView } from '../../plan/compile.ts';
import type { KeysResource, Plan, Resource, Versioned } from '../../plan/resources.ts';
import type { KeySecrets } from '../keys/key-secrets.ts';
import type { Objects } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { namespaceOf, type Scope } from '../objects/scope.ts';
import { Selectors } from './views.ts';

/** The objects that runtimes of one scope see, at one moment, as plans are compiled from them. */
export type Snapshot = {
  /** Every object that is valid. One that is being deleted counts while a finalizer holds it. */
  readonly manifests: readonly Manifest[];
  /** Keys of callers out of Secrets. */
  readonly keys: readonly Versioned<KeysResource>[];
  /** Keys of resources whose object is there and not valid: they neither change nor go. */
  readonly withheld: ReadonlySet<string>;
  readonly selectors: Selectors;
  /** Whose policy holds for namespaces without one. */
  readonly policyNamespace: string;
};

type PlannedKeys = Pick<KeySecrets, 'resources' | 'unread'>;

type Taken = {
  readonly manifests: Manifest[];
  readonly keys: Versioned<KeysResource>[];
  readonly withheld: Set<string>;
};

/** The objects at one moment, for every scope. */
export class Moment {
  readonly #byNamespace = new Map<string, Taken>();
  readonly #snapshots = new Map<Scope, Snapshot>();
  readonly #policyNamespace: string;

  constructor({ adapters, rollouts, routes }: Objects, policies: Policies, keys?: PlannedKeys) {
    this.#policyNamespace = policies.namespace;
    this.#take('AdapterSpec', adapters.list());
    this.#take('Split', rollouts.list());
    this.#take('Route', routes.list());
    for (const [namespace, binding] of policies.list()) {
      const taken = this.#takenOf(namespace);
      if (binding.kind === 'Policy') taken.manifests.push(binding.policy);
      else taken.withheld.add(`Policy ${binding.key}`);
    }
    // Nobody knows which of them the policy keeps out.
    for (const { key } of adapters.list())
      if (policies.of(namespaceOf(key)).kind === 'Unknown')
        this.#takenOf(namespaceOf(key)).withheld.add(`AdapterSpec ${key}`);
    for (const resource of keys?.resources() ?? [])
      this.#takenOf(namespaceOf(resource.name)).keys.push(resource);
    for (const key of keys?.unread() ?? []) this.#takenOf(namespaceOf(key)).withheld.add(`Keys ${key}`);
  }

  /** Always the same one for a scope. */
  snapshot(scope: Scope): Snapshot {
    let snapshot = this.#snapshots.get(scope);
    if (snapshot === undefined) {
      const taken = scope === undefined ? [...this.#byNamespace.values()] : this.#takenIn(scope);
      const manifests = taken.flatMap((each) => each.manifests);
      const withheld = new Set(taken.flatMap((each) => [...each.withheld]));
      const policyNamespace = this.#policyNamespace;
      const keys = taken.flatMap((each) => each.keys);
      snapshot = { manifests, keys, withheld, selectors: Selectors.of(manifests), policyNamespace };
      this.#snapshots.set(scope, snapshot);
    }
    return snapshot;
  }

  #takenIn(namespace: string): Taken[] {
    const own = this.#byNamespace.get(namespace);
    const taken = own === undefined ? [] : [own];
    if (namespace === this.#policyNamespace) return taken;
    // The policy of the operator's namespace holds for namespaces that have none.
    const general = this.#byNamespace.get(this.#policyNamespace);
    if (general === undefined) return taken;
    const manifests = general.manifests.filter(({ kind }) => kind === 'AdapterPolicy');
    const withheld = new Set([...general.withheld].filter((key) => key.startsWith('Policy ')));
    return [...taken, { manifests, keys: [], withheld }];
  }

  #take(
    type: Resource['type'],
    reads: Iterable<{ readonly key: ObjectKey; readonly object?: Manifest }>,
  ): void {
    for (const { key, object } of reads) {
      const taken = this.#takenOf(namespaceOf(key));
      if (object === undefined) taken.withheld.add(`${type} ${key}`);
      else taken.manifests.push(object);
    }
  }

  #takenOf(namespace: string): Taken {
    const taken = this.#byNamespace.get(namespace) ?? { manifests: [], keys: [], withheld: new Set() };
    this.#byNamespace.set(namespace, taken);
    return taken;
  }
}

/**
 * The plan of a view. An Adapter whose digest nobody has resolved yet is left out, though it keeps its name: two nodes
 * would else run different weights under one tag.
 *
 * @param former the plan before; resources that are the same are the same objects, and so is the plan
 */
export const planOf = (
  { manifests, keys, policyNamespace }: Pick<Snapshot, 'manifests' | 'keys' | 'policyNamespace'>,
  runtime: RuntimeView,
  former: Plan | undefined,
): Plan => {
  const compiled = compilePlan({ manifests, keys, runtime, policyNamespace }).plan;
  const plan = new Map<string, Versioned>();
  let same = true;
  for (const [key, resource] of compiled) {
    if (resource.type === 'AdapterSpec' && resource.body.digest === undefined) continue;
    const before = former?.get(key);
    const kept = before?.version === resource.version ? before : resource;
    same &&= kept === before;
    plan.set(key, kept);
  }
  return former !== undefined && same && former.size === plan.size ? former : plan;
};
