import { namespaceOf } from '../../api/names.ts';
import type { AdapterObject } from '../../api/objects.ts';
import { objectKeyIn, resourceKeyOf } from '../../plan/object-index.ts';
import type { Collection } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import type { Scope } from '../objects/scope.ts';

const nothing: ReadonlySet<string> = new Set();

/**
 * Keys of resources that neither change nor go: their object is there and not valid or not read yet, or nobody knows what
 * the policy of their namespace says of them.
 */
export class Withheld {
  readonly #policies: Policies;
  readonly #adapters: Collection<AdapterObject>;
  readonly #invalid = new Set<string>();
  /** Until a policy changes. */
  #unknownNow: readonly string[] | undefined;
  /** By scope, until something changes. */
  readonly #known = new Map<Scope, ReadonlySet<string>>();

  constructor(policies: Policies, adapters: Collection<AdapterObject>) {
    this.#policies = policies;
    this.#adapters = adapters;
  }

  /** Something came, went or changed. `isInvalid`: it is there and not valid, or nobody has read it. */
  set(key: string, isInvalid: boolean): void {
    if (key.startsWith('Policy ')) this.#unknownNow = undefined;
    const wasInvalid = this.#invalid.has(key);
    if (key.startsWith('Policy ') || wasInvalid !== isInvalid || this.#unknown().length > 0)
      this.#known.clear();
    // Of a policy that became invalid the last valid version stays in force.
    if (isInvalid && !key.startsWith('Policy ')) this.#invalid.add(key);
    else this.#invalid.delete(key);
  }

  /** What runtimes of that scope are not told of. The same set while nothing changes. */
  in(scope: Scope): ReadonlySet<string> {
    const unknown = this.#unknown();
    if (this.#invalid.size + unknown.length === 0) return nothing;
    let known = this.#known.get(scope);
    if (known === undefined) {
      const isSeen = (namespace: string): boolean => scope === undefined || namespace === scope;
      const general = this.#policies.namespace;
      const invalid = [...this.#invalid].filter((key) => isSeen(namespaceOf(objectKeyIn(key))));
      const policies = unknown.filter((namespace) => isSeen(namespace) || namespace === general);
      // Nobody knows which of them the policy keeps out.
      const adapters = [...this.#adapters.list()].flatMap(({ key }) => {
        const namespace = namespaceOf(key);
        const isUnknown = isSeen(namespace) && this.#policies.of(namespace).kind === 'Unknown';
        return isUnknown ? [resourceKeyOf('Adapter', key)] : [];
      });
      known = new Set([...invalid, ...policies.map((one) => `Policy ${one}/default`), ...adapters]);
      this.#known.set(scope, known);
    }
    return known;
  }

  /** Namespaces of policies that are not valid, and of which no valid version was seen. */
  #unknown(): readonly string[] {
    this.#unknownNow ??= [...this.#policies.list()].flatMap(([namespace, { kind }]) =>
      kind === 'Unknown' ? [namespace] : [],
    );
    return this.#unknownNow;
  }
}
