import { isDeepStrictEqual } from 'node:util';
import { type Selector, selects } from '../../api/selector.ts';
import { choiceOf } from '../../plan/entry.ts';
import type { ObjectIndex } from '../../plan/object-index.ts';
import type { Scope } from '../objects/scope.ts';
import { nobody } from './follower.ts';

type Labels = Readonly<Record<string, string>>;

/** Namespaces whose policies choose among nodes, as of the last publication. */
export class Choices {
  readonly #index: ObjectIndex;
  readonly #scope: Scope;
  readonly #selectors = new Map<string, Selector>();
  /** Sets of namespaces that choose a runtime, those of before as well: equal ones are the same. */
  #sets = new Map<string, ReadonlySet<string>>();
  #former: ReadonlyMap<string, ReadonlySet<string>> = new Map();

  constructor(index: ObjectIndex, scope: Scope) {
    this.#index = index;
    this.#scope = scope;
  }

  get size(): number {
    return this.#selectors.size;
  }

  /** How the policy of now chooses. */
  of(namespace: string): Selector | undefined {
    return choiceOf(this.#index, namespace, this.#scope);
  }

  /** Takes over what is now of these namespaces. The result: those that choose otherwise than before. */
  changed(namespaces: Iterable<string>): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const namespace of new Set(namespaces)) {
      const [first] = this.#index.keysIn(namespace);
      const now = first === undefined ? undefined : this.of(namespace);
      if (isDeepStrictEqual(this.#selectors.get(namespace), now)) continue;
      changed.add(namespace);
      if (now === undefined) this.#selectors.delete(namespace);
      else this.#selectors.set(namespace, now);
    }
    if (changed.size > 0) [this.#former, this.#sets] = [this.#sets, new Map()];
    return changed;
  }

  /** Namespaces that choose a runtime with these labels. */
  choosing(labels: Labels): ReadonlySet<string> {
    const found = [...this.#selectors].flatMap(([namespace, one]) =>
      selects(one, labels) ? [namespace] : [],
    );
    if (found.length === 0) return nobody;
    const id = found.toSorted().join(' ');
    const set = this.#sets.get(id) ?? this.#former.get(id) ?? new Set(found);
    this.#sets.set(id, set);
    return set;
  }
}
