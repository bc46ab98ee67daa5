/** A text that waits. */
export type Waiting = {
  /** Absent: the one without a name. */
  readonly namespace?: string | undefined;
  /** Within its namespace. */
  readonly tenant: string;
  readonly characters: number;
};

type Entry<T> = { readonly item: T; readonly key: number };

/** Characters that one was served, and what waits of it. */
type Line<Of> = { served: number; readonly waiting: Of };
type Lines<Of> = Map<string, Line<Of>>;
type Tenants<T> = Lines<Entry<T>[]>;

/** Who has nothing waiting has no past either: it begins like the one that has least. */
const lineOf = <Of>(lines: Lines<Of>, key: string, empty: () => Of): Line<Of> => {
  const served = lines.size === 0 ? 0 : Math.min(...lines.values().map((line) => line.served));
  const line = lines.get(key) ?? { served, waiting: empty() };
  lines.set(key, line);
  return line;
};

const leastOf = <Of>(lines: Lines<Of>): readonly [key: string, line: Line<Of>] | undefined =>
  [...lines].toSorted(([, a], [, b]) => a.served - b.served)[0];

const longest = <Of>(lines: Lines<Of>, lengthOf: (waiting: Of) => number): Of | undefined =>
  [...lines.values()].map(({ waiting }) => waiting).toSorted((a, b) => lengthOf(b) - lengthOf(a))[0];

const allOf = <T>(tenants: Tenants<T>): readonly T[] =>
  [...tenants.values()].flatMap(({ waiting }) => waiting.map(({ item }) => item));

/**
 * Which text is next: of the namespace that was served least, of its tenant that was served least, the shortest. A text is passed by
 * others of its tenant only until these came to as much as it is long itself; so none starves.
 */
export class TextQueue<T extends Waiting> {
  readonly #namespaces: Lines<Tenants<T>> = new Map();

  /** Characters of all that wait. */
  get characters(): number {
    return this.#all().reduce((sum, { characters }) => sum + characters, 0);
  }

  get length(): number {
    return this.#all().length;
  }

  push(item: T): void {
    const { waiting: tenants } = lineOf(this.#namespaces, item.namespace ?? '', (): Tenants<T> => new Map());
    const line = lineOf(tenants, item.tenant, (): Entry<T>[] => []);
    line.waiting.push({ item, key: line.served + item.characters });
    line.waiting.sort((a, b) => a.key - b.key);
  }

  /** Takes the next one out. */
  next(): T | undefined {
    const namespace = leastOf(this.#namespaces)?.[1];
    const tenant = namespace === undefined ? undefined : leastOf(namespace.waiting)?.[1];
    const item = tenant?.waiting.shift()?.item;
    if (namespace === undefined || tenant === undefined || item === undefined) return undefined;
    namespace.served += item.characters;
    tenant.served += item.characters;
    this.#forget(item);
    return item;
  }

  /** The last one of whoever has most waiting: a tenant of the namespace that has most. */
  get mostDispensable(): T | undefined {
    const tenants = longest(this.#namespaces, (of) => allOf(of).length);
    const entries = tenants === undefined ? undefined : longest(tenants, ({ length }) => length);
    return entries?.at(-1)?.item;
  }

  remove(item: T): void {
    const entries = this.#namespaces.get(item.namespace ?? '')?.waiting.get(item.tenant)?.waiting;
    const place = entries?.findIndex((entry) => entry.item === item) ?? -1;
    if (place >= 0) entries?.splice(place, 1);
    this.#forget(item);
  }

  #forget({ namespace = '', tenant }: T): void {
    const tenants = this.#namespaces.get(namespace)?.waiting;
    if (tenants?.get(tenant)?.waiting.length === 0) tenants.delete(tenant);
    if (tenants?.size === 0) this.#namespaces.delete(namespace);
  }

  #all(): readonly T[] {
    return [...this.#namespaces.values()].flatMap(({ waiting }) => allOf(waiting));
  }
}
