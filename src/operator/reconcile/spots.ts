import type { Selector } from '../../api/selector.ts';
import type { Scope } from '../objects/scope.ts';
import { Bits } from './bits.ts';
import type { PresentRuntime } from './presence.ts';

/** What says which objects a runtime concerns. */
export type Spot = Pick<PresentRuntime, 'scope' | 'labels' | 'baseModel'>;

/** Who looks for runtimes. */
export type Looker = {
  readonly namespace: string;
  /** Nodes that its policy leaves to the namespace; undefined: all. */
  readonly nodes: Selector | undefined;
  /** Undefined: any. */
  readonly baseModel?: string | undefined;
  /** Undefined: any. */
  readonly selector?: Selector | undefined;
};

const labelOf = ([key, value]: readonly [string, string]): string => `${key}=${value}`;

/** Where runtimes are, by what is asked for. A question costs a set for each label that it names, and no look at each spot. */
export class Spots {
  #size = 0;
  readonly #scopes = new Map<Scope, Bits>();
  readonly #models = new Map<string, Bits>();
  readonly #labels = new Map<string, Bits>();

  constructor(spots: Iterable<Spot>) {
    for (const { scope, baseModel, labels } of spots) {
      addTo(this.#scopes, scope, this.#size);
      addTo(this.#models, baseModel, this.#size);
      for (const label of Object.entries(labels)) addTo(this.#labels, labelOf(label), this.#size);
      this.#size += 1;
    }
  }

  /** Whether one of them is for that. */
  isAnyFor({ namespace, nodes, baseModel, selector }: Looker): boolean {
    const asked = [
      ...(baseModel === undefined ? [] : [this.#models.get(baseModel)]),
      ...this.#labelled(selector),
    ];
    return (
      this.#doMeet([this.#scopes.get(namespace), ...asked]) ||
      this.#doMeet([this.#scopes.get(undefined), ...this.#labelled(nodes), ...asked])
    );
  }

  /** Undefined: an empty set. No other is empty, so that one alone meets, and those that have all change nothing. */
  #doMeet(sets: readonly (Bits | undefined)[]): boolean {
    if (!sets.every((set) => set !== undefined)) return false;
    const parts = sets.filter(({ size }) => size < this.#size);
    return parts.length < 2 || parts.reduce((met, part) => met.and(part)).size > 0;
  }

  #labelled(selector: Selector | undefined): (Bits | undefined)[] {
    return Object.entries(selector?.matchLabels ?? {}).map((label) => this.#labels.get(labelOf(label)));
  }
}

const addTo = <K>(sets: Map<K, Bits>, key: K, number: number): void => {
  const set = sets.get(key) ?? new Bits();
  set.add(number);
  sets.set(key, set);
};
