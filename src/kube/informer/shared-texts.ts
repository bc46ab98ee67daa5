/** Shorter values V8 shares by itself as it parses JSON. Longer ones are mostly of one object alone. */
const [shortest, longest] = [11, 200];

/** Texts that are remembered, at least: what comes again mostly does so soon, in the same list. */
const many = 8192;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/**
 * One copy of the texts that come over and over in objects of the API server: times, messages of conditions, names and digests of others.
 * Parsed JSON has a copy for each. At most twice {@link many} are remembered.
 */
export class SharedTexts {
  #now = new Map<string, string>();
  #before: ReadonlyMap<string, string> = new Map();

  /** Puts the copies that are there in the place of the same texts in a parsed value. */
  shareIn(value: unknown): void {
    if (!isObject(value)) return;
    for (const key in value) {
      const inner = value[key];
      if (typeof inner !== 'string') this.shareIn(inner);
      else if (inner.length >= shortest && inner.length <= longest) value[key] = this.#copyOf(inner);
    }
  }

  #copyOf(text: string): string {
    const known = this.#now.get(text);
    if (known !== undefined) return known;
    if (this.#now.size >= many) {
      this.#before = this.#now;
      this.#now = new Map();
    }
    const copy = this.#before.get(text) ?? text;
    this.#now.set(copy, copy);
    return copy;
  }
}
