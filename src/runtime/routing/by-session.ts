/**
 * What is remembered of sessions, in memory. When there are too many the one goes that was set longest ago, of the namespace that has
 * most: who makes sessions without end loses their own.
 */
export class BySession<T> {
  readonly #max: number;
  /** By namespace, then by session; the one that was set last is last. */
  readonly #namespaces = new Map<string, Map<string, T>>();
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  get(namespace: string, session: string): T | undefined {
    return this.#namespaces.get(namespace)?.get(session);
  }

  set(namespace: string, session: string, value: T): void {
    this.delete(namespace, session);
    const sessions = this.#namespaces.get(namespace) ?? new Map<string, T>();
    this.#namespaces.set(namespace, sessions.set(session, value));
    this.#size += 1;
    if (this.#size > this.#max) this.#forgetOne();
  }

  delete(namespace: string, session: string): void {
    const sessions = this.#namespaces.get(namespace);
    if (sessions?.delete(session) !== true) return;
    this.#size -= 1;
    if (sessions.size === 0) this.#namespaces.delete(namespace);
  }

  #forgetOne(): void {
    let [namespace, count] = ['', 0];
    for (const [name, { size }] of this.#namespaces) if (size > count) [namespace, count] = [name, size];
    const [oldest] = this.#namespaces.get(namespace)?.keys() ?? [];
    if (oldest !== undefined) this.delete(namespace, oldest);
  }
}
