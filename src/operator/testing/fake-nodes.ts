import { LabelList } from '../nodes/label-list.ts';
import type { Nodes } from '../nodes/nodes.ts';

type Labels = Readonly<Record<string, string>>;

/** For tests: Nodes of which a test says how they are. The keys of the list are `topology.kubernetes.io/zone` and `adaptlet.io/*`. */
export class FakeNodes implements Nodes {
  readonly #list = new LabelList(['topology.kubernetes.io/zone', 'adaptlet.io/*']);
  readonly #labels = new Map<string, Labels>();
  readonly #cordoned = new Set<string>();
  readonly #listeners = new Set<(node: string) => void>();

  labelsAt(node: string, own: Labels): Labels {
    return { ...this.#list.omit(own), ...this.#list.pick(this.#labels.get(node) ?? {}) };
  }
  isCordoned(node: string): boolean {
    return this.#cordoned.has(node);
  }
  onChange(listener: (node: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  label(node: string, labels: Labels): void {
    this.#labels.set(node, labels);
    this.#tell(node);
  }
  cordon(node: string, is = true): void {
    if (is) this.#cordoned.add(node);
    else this.#cordoned.delete(node);
    this.#tell(node);
  }
  #tell(node: string): void {
    for (const listener of this.#listeners) listener(node);
  }
}
