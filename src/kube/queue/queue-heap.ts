/** A priority queue of which any item can be taken out or moved. */
export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #items: T[] = [];
  readonly #places = new Map<T, number>();

  /** `before(a, b)`: whether `a` comes first. It may change for an item only together with `add` of that item. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  values(): readonly T[] {
    return this.#items;
  }

  /** Adds an item, or moves one that is here to where it belongs now. */
  add(item: T): void {
    const place = this.#places.get(item) ?? this.#items.length;
    this.#put(item, place);
    this.#settle(place);
  }

  /** False when it was not here. */
  remove(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#places.delete(item);
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#put(last, place);
      this.#settle(place);
    }
    return true;
  }

  clear(): void {
    this.#items.length = 0;
    this.#places.clear();
  }

  #put(item: T, place: number): void {
    this.#items[place] = item;
    this.#places.set(item, place);
  }

  #settle(from: number): void {
    let place = from;
    for (;;) {
      const up = (place - 1) >> 1;
      if (place > 0 && this.#comesFirst(place, up)) {
        this.#swap(place, up);
        place = up;
        continue;
      }
      const [left, right] = [2 * place + 1, 2 * place + 2];
      const down = this.#comesFirst(right, left) ? right : left;
      if (!this.#comesFirst(down, place)) return;
      this.#swap(place, down);
      place = down;
    }
  }

  /** False where there is no item at `a`; true where there is none at `b`. */
  #comesFirst(a: number, b: number): boolean {
    const [one, other] = [this.#items[a], this.#items[b]];
    return one !== undefined && (other === undefined || this.#before(one, other));
  }

  #swap(a: number, b: number): void {
    // Both are places of the heap.
    const [one, other] = [this.#items[a]!, this.#items[b]!];
    this.#put(one, b);
    this.#put(other, a);
  }
}
