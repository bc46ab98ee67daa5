/**
 * Which rows are free, which are taken by whom.
 */
export class Slots<S> {
  readonly #rows: (S | undefined)[];

  constructor(rows: number) {
    this.#rows = Array.from({ length: rows }, () => undefined);
  }

  get free(): readonly number[] {
    return [...this.#rows.keys()].filter((row) => this.#rows[row] === undefined);
  }

  at(row: number): S | undefined {
    return this.#rows[row];
  }

  /** A free row for a newcomer: of those that lengthen the span of taken rows least, the one that costs least. */
  choose(costOf: (row: number) => number): number | undefined {
    const taken = [...this.#rows.keys()].filter((row) => this.#rows[row] !== undefined);
    const [first = Infinity, last = -Infinity] = [taken[0], taken.at(-1)];
    // A row further away would make every step longer than what it saves.
    const away = (row: number): number => (taken.length === 0 ? 0 : Math.max(first - row, row - last, 0));
    const [best] = this.free.toSorted((a, b) => away(a) - away(b) || costOf(a) - costOf(b) || a - b);
    return best;
  }

  take(row: number, sequence: S): void {
    this.#rows[row] = sequence;
  }

  leave(row: number): void {
    this.#rows[row] = undefined;
  }

  /**
   * A row at an end of the taken ones, and a free one between them that its sequence could move to, so that runs become
   * shorter; undefined when there is none. `costOf`: what moving a sequence there costs; undefined when it does not pay.
   * `rowCost`: of the free ones the one that costs least is taken.
   */
  gap(
    costOf: (sequence: S, to: number) => number | undefined,
    rowCost: (row: number) => number = () => 0,
  ): { readonly from: number; readonly to: number } | undefined {
    const taken = [...this.#rows.keys()].filter((row) => this.#rows[row] !== undefined);
    const [first, last] = [taken[0], taken.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const [to] = this.free
      .filter((row) => row > first && row < last)
      .toSorted((a, b) => rowCost(a) - rowCost(b) || a - b);
    if (to === undefined) return undefined;
    const moves = [first, last].flatMap((from) => {
      const sequence = this.#rows[from];
      const cost = sequence === undefined ? undefined : costOf(sequence, to);
      return cost === undefined ? [] : [{ from, to, cost }];
    });
    return moves.toSorted((a, b) => a.cost - b.cost)[0];
  }
}
