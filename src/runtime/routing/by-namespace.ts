type Of<T> = { readonly values: Map<string, T>; weight: number };

/**
 * What is remembered by names, in memory. When it is too much that goes which was set longest ago, of the namespace that has most:
 * who makes more without end loses their own.
 */
export class ByNamespace<T> {
  readonly #max: number;
  readonly #weigh: (value: T) => number;
  /** By namespace, then by name; the one that was set last is last. */
  readonly #namespaces = new Map<string, Of<T>>();
  #weight = 0;

  /** `max`: that all may weigh together; without `weigh` how many there may be. */
  constructor(max: number, weigh: (value: T) => number = () => 1) {
    this.#max = max;
    this.#weigh = weigh;
  }

  /** Of all. */
  get weight(): number {
    return this.#weight;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#namespaces.get(namespace)?.values.get(name);
  }

  set(namespace: string, name: string, value: T): void {
    this.delete(namespace, name);
    const own = this.#namespaces.get(namespace) ?? { values: new Map<string, T>(), weight: 0 };
    this.#namespaces.set(namespace, own);
    own.values.set(name, value);
    this.#add(own, this.#weigh(value));
    while (this.#weight > this.#max) this.#forgetOne();
  }

  delete(namespace: string, name: string): void {
    const own = this.#namespaces.get(namespace);
    const value = own?.values.get(name);
    if (own === undefined || value === undefined) return;
    own.values.delete(name);
    this.#add(own, -this.#weigh(value));
    if (own.values.size === 0) this.#namespaces.delete(namespace);
  }

  #add(own: Of<T>, weight: number): void {
    own.weight += weight;
    this.#weight += weight;
  }

  #forgetOne(): void {
    let [namespace, most] = ['', 0];
    for (const [name, { weight }] of this.#namespaces) if (weight > most) [namespace, most] = [name, weight];
    const [oldest] = this.#namespaces.get(namespace)?.values.keys() ?? [];
    if (oldest !== undefined) this.delete(namespace, oldest);
  }
}
