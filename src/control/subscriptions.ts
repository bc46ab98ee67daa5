import { isClientName } from './key.ts';

/** Most names that a runtime remembers. */
export const maxSubscriptions = 1_000;

/**
 * Names that requests asked a runtime for, least recently used first, bounded: the one that was not asked for longest
 * gives way. Only `namespace/name` gets in, whatever clients send.
 */
export class Subscriptions {
  readonly #max: number;
  readonly #names = new Set<string>();

  /** `names`: what an earlier process remembered; what is not a name is left out. */
  constructor(names: Iterable<string> = [], max = maxSubscriptions) {
    this.#max = max;
    for (const name of names) this.use(name);
  }

  /** In the order of their last use. */
  get names(): readonly string[] {
    return [...this.#names];
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** A request asks for the name. True when the set is another now, and has to be sent. */
  use(name: string): boolean {
    if (this.#names.delete(name)) {
      this.#names.add(name);
      return false;
    }
    if (!isClientName(name)) return false;
    this.#names.add(name);
    for (const oldest of this.#names) {
      if (this.#names.size <= this.#max) break;
      this.#names.delete(oldest);
    }
    return true;
  }

  /** The operator does not know them: the next request asks again. */
  forget(names: Iterable<string>): void {
    for (const name of names) this.#names.delete(name);
  }
}
