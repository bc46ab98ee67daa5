import type { Manifest, RolloutObject } from '../../api/objects.ts';
import { type Selector, selects } from '../../api/selector.ts';
import { canonicalJson } from '../../plan/canonical.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';

type Labels = Readonly<Record<string, string>>;

/**
 * The different selectors that objects use, in one order for all replicas. A plan depends on a runtime's labels only by
 * what each of these says of them: runtimes of which they all say the same share a plan, also where a selector names a
 * single node. Where a rollout is under way in groups it matters as well what it gives a runtime of its canary.
 */
export class Selectors {
  readonly #selectors: readonly Selector[];
  readonly #inGroups: readonly RolloutObject[];
  /** Equal texts, equal selectors. */
  readonly text: string;

  private constructor(selectors: ReadonlyMap<string, Selector>, inGroups: readonly RolloutObject[]) {
    this.#inGroups = inGroups;
    const sorted = [...selectors].toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#selectors = sorted.map(([, selector]) => selector);
    this.text = sorted.map(([text]) => text).join('\n');
  }

  static of(manifests: Iterable<Manifest>): Selectors {
    const selectors = new Map<string, Selector>();
    const add = (selector: Selector | undefined): void => {
      if (selector === undefined || Object.keys(selector.matchLabels).length === 0) return;
      selectors.set(textOf(selector), selector);
    };
    const inGroups: RolloutObject[] = [];
    for (const object of manifests) {
      if (object.kind === 'Adapter') add(object.spec.preload.runtimeSelector);
      if (object.kind === 'AdapterPolicy') add(object.spec.runtimes.nodes);
      if (object.kind !== 'AdapterRollout') continue;
      add(object.spec.runtimeSelector);
      if (object.status?.groups !== undefined) inGroups.push(object);
    }
    return new Selectors(selectors, inGroups);
  }

  /** Name of the view of a runtime: equal names, equal plans. */
  viewOf(baseModel: string, runtime: { readonly key: string; readonly labels: Labels }): string {
    const selected = this.#selectors.map((selector) => (selects(selector, runtime.labels) ? '1' : '0'));
    const given = this.#inGroups.flatMap(({ metadata: { uid }, status }) => {
      if (status === undefined) return [];
      const { isLoaded, weight, mirror } = assignmentOf(status, uid, runtime);
      return [`${uid} ${isLoaded} ${weight} ${mirror}`];
    });
    return `${baseModel} ${selected.join('')}${given
      .map((one) => `\n${one}`)
      .sort()
      .join('')}`;
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
