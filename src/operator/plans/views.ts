import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { type Selector, selects } from '../../api/selector.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import type { Read } from '../objects.ts';

type Labels = Readonly<Record<string, string>>;

/**
 * The different selectors that objects use, in one order for all replicas. A plan depends on a runtime's labels only by
 * what each of these says of them: runtimes of which they all say the same share a plan, also where a selector names a
 * single node.
 */
export class Selectors {
  readonly #selectors: readonly Selector[];
  /** Equal texts, equal selectors. */
  readonly text: string;

  private constructor(selectors: ReadonlyMap<string, Selector>) {
    const sorted = [...selectors].toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#selectors = sorted.map(([, selector]) => selector);
    this.text = sorted.map(([text]) => text).join('\n');
  }

  static of(adapters: Iterable<Read<AdapterObject>>, rollouts: Iterable<Read<RolloutObject>>): Selectors {
    const selectors = new Map<string, Selector>();
    const add = (selector: Selector | undefined): void => {
      if (selector === undefined || Object.keys(selector.matchLabels).length === 0) return;
      selectors.set(textOf(selector), selector);
    };
    for (const { object } of adapters) add(object?.spec.preload.runtimeSelector);
    for (const { object } of rollouts) add(object?.spec.runtimeSelector);
    return new Selectors(selectors);
  }

  /** Name of the view of a runtime: equal names, equal plans. */
  viewOf(baseModel: string, labels: Labels): string {
    return `${baseModel} ${this.#selectors.map((selector) => (selects(selector, labels) ? '1' : '0')).join('')}`;
  }
}

const texts = new WeakMap<Selector, string>();

const textOf = (selector: Selector): string => {
  let text = texts.get(selector);
  if (text === undefined) {
    text = canonicalJson(selector.matchLabels);
    texts.set(selector, text);
  }
  return text;
};
