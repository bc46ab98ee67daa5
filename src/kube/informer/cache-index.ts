/** By name of an index: the values under which an object is found. Pure; the same for one object at all times. */
export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

/** Objects by what they say of themselves. */
export class CacheIndex<T> {
  readonly #functions: IndexFunctions<T>;
  /** Objects by index, value and key. */
  readonly #found = new Map<string, Map<string, Map<string, T>>>();

  constructor(functions: IndexFunctions<T>) {
    this.#functions = functions;
    for (const name of Object.keys(functions)) this.#found.set(name, new Map());
  }

  by(index: string, value: string): readonly T[] {
    const values = this.#found.get(index);
    if (values === undefined) throw new RangeError(`no index ${index}`);
    return [...(values.get(value)?.values() ?? [])];
  }

  add(key: string, object: T): void {
    for (const [values, value] of this.#places(object)) {
      const objects = values.get(value);
      if (objects === undefined) values.set(value, new Map([[key, object]]));
      else objects.set(key, object);
    }
  }

  remove(key: string, object: T): void {
    for (const [values, value] of this.#places(object)) {
      const objects = values.get(value);
      objects?.delete(key);
      if (objects?.size === 0) values.delete(value);
    }
  }

  *#places(object: T): Generator<readonly [Map<string, Map<string, T>>, string]> {
    for (const [name, valuesOf] of Object.entries(this.#functions)) {
      const values = this.#found.get(name);
      if (values === undefined) continue;
      for (const value of valuesOf(object)) yield [values, value];
    }
  }
}
