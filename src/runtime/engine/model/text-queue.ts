/** A text that waits. */
export type Waiting = { readonly tenant: string; readonly characters: number };

type Entry<T> = { readonly item: T; readonly key: number };

/** Characters that a tenant was served, and what waits of it. */
type Line<T> = { served: number; readonly entries: Entry<T>[] };

/**
 * Which text is next: of the tenant that was served least, the shortest. A text is passed by others of its tenant
 * only until these came to as much as it is long itself; so none starves.
 */
export class TextQueue<T extends Waiting> {
  readonly #lines = new Map<string, Line<T>>();

  /** Characters of all that wait. */
  get characters(): number {
    return this.#all().reduce((sum, { characters }) => sum + characters, 0);
  }

  get length(): number {
    return this.#all().length;
  }

  push(item: T): void {
    const line = this.#lines.get(item.tenant) ?? { served: this.#least(), entries: [] };
    this.#lines.set(item.tenant, line);
    line.entries.push({ item, key: line.served + item.characters });
    line.entries.sort((a, b) => a.key - b.key);
  }

  /** Takes the next one out. */
  next(): T | undefined {
    const [least] = [...this.#lines].sort(([, a], [, b]) => a.served - b.served);
    if (least === undefined) return undefined;
    const [tenant, line] = least;
    const entry = line.entries.shift();
    // Who has nothing waiting has no past either: it begins like the one that has least.
    if (line.entries.length === 0) this.#lines.delete(tenant);
    line.served += entry?.item.characters ?? 0;
    return entry?.item;
  }

  remove(item: T): void {
    const line = this.#lines.get(item.tenant);
    const place = line?.entries.findIndex((entry) => entry.item === item) ?? -1;
    if (place >= 0) line?.entries.splice(place, 1);
    if (line?.entries.length === 0) this.#lines.delete(item.tenant);
  }

  #least(): number {
    const served = [...this.#lines.values()].map((line) => line.served);
    return served.length === 0 ? 0 : Math.min(...served);
  }

  #all(): readonly T[] {
    return [...this.#lines.values()].flatMap(({ entries }) => entries.map(({ item }) => item));
  }
}
