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

  /** A free row for a newcomer: of those that `suits`, else of all, the one that lengthens the span of taken rows least. */
  choose(suits: (row: number) => boolean): number | undefined {
    const { free } = this;
    const suiting = free.filter(suits);
    const taken = [...this.#rows.keys()].filter((row) => this.#rows[row] !== undefined);
    const [first = 0, last = 0] = [taken[0], taken.at(-1)];
    const away = (row: number): number => Math.max(first - row, row - last, 0);
    const nearest = (rows: readonly number[]): number | undefined =>
      rows.toSorted((a, b) => away(a) - away(b) || a - b)[0];
    const best = nearest(free);
    // A row further away would make every step longer than the copy that it saves.
    const suited = nearest(suiting);
    return suited !== undefined && best !== undefined && away(suited) <= away(best) ? suited : best;
  }

  take(row: number, sequence: S): void {
    this.#rows[row] = sequence;
  }

  leave(row: number): void {
    this.#rows[row] = undefined;
  }

  /**
   * A row at an end of the taken ones, and a free one between them that its sequence could move to, so that runs become
   * shorter; undefined when there is none. `costOf`: what moving a sequence costs; undefined when it does not pay.
   */
  gap(
    costOf: (sequence: S) => number | undefined,
  ): { readonly from: number; readonly to: number } | undefined {
    const taken = [...this.#rows.keys()].filter((row) => this.#rows[row] !== undefined);
    const [first, last] = [taken[0], taken.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const to = this.free.find((row) => row > first && row < last);
    if (to === undefined) return undefined;
    const moves = [first, last].flatMap((from) => {
      const sequence = this.#rows[from];
      const cost = sequence === undefined ? undefined : costOf(sequence);
      return cost === undefined ? [] : [{ from, to, cost }];
    });
    return moves.toSorted((a, b) => a.cost - b.cost)[0];
  }
}
