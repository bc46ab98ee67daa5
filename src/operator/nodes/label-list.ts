type Labels = Readonly<Record<string, string>>;

const key = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const prefix = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/\*$/;

/** A label key, or a DNS prefix with `/*`: every key of that prefix. */
export const isLabelPattern = (text: string): boolean => key.test(text) || prefix.test(text);

/** Keys of labels that belong to Nodes: a runtime has them from its Node and from nobody else. */
export class LabelList {
  readonly #keys: ReadonlySet<string>;
  /** With the slash. */
  readonly #prefixes: readonly string[];

  constructor(patterns: readonly string[]) {
    this.#keys = new Set(patterns.filter((pattern) => !pattern.endsWith('/*')));
    this.#prefixes = patterns
      .filter((pattern) => pattern.endsWith('/*'))
      .map((pattern) => pattern.slice(0, -1));
  }

  has(label: string): boolean {
    return this.#keys.has(label) || this.#prefixes.some((start) => label.startsWith(start));
  }

  /** The labels that are in the list. */
  pick(labels: Labels): Labels {
    return Object.fromEntries(Object.entries(labels).filter(([label]) => this.has(label)));
  }

  /** The labels that are not in the list. */
  omit(labels: Labels): Labels {
    return Object.fromEntries(Object.entries(labels).filter(([label]) => !this.has(label)));
  }
}
