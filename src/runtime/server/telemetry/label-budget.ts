/**
 * Keeps the number of label values bounded: the first `size` distinct values are kept, all later ones become `other`.
 * An adapter per user must not become a time series per user.
 */
export class LabelBudget {
  readonly #seen = new Set<string>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  /** The value itself, or `other`. '' costs nothing. */
  bounded(value: string): string {
    if (value === '' || this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#size) return 'other';
    this.#seen.add(value);
    return value;
  }
}
