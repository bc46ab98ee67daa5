/** Milliseconds after a disturbance in which a runtime may still be on its way back: the longest wait before it dials. */
const backMs = 30_000;

type Disturbance = { readonly from: number; to: number };

/**
 * When which thing was disturbed. What a runtime follows may be as old as the last calm moment of all that lies between
 * it and the API server; after that it has {@link backMs}.
 */
export class Calm {
  readonly #disturbances = new Map<string, Disturbance[]>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Begins a disturbance, or did so at `from`; the result ends it. */
  disturb(thing: string, from = this.#now()): () => void {
    const disturbance: Disturbance = { from, to: Number.POSITIVE_INFINITY };
    const all = this.#disturbances.get(thing) ?? [];
    all.push(disturbance);
    this.#disturbances.set(thing, all);
    return () => {
      disturbance.to = this.#now();
    };
  }

  /** The last moment up to `at` at which none of these things was disturbed or on its way back. */
  lastCalm(things: readonly string[], at: number): number {
    const all = things.flatMap((thing) => this.#disturbances.get(thing) ?? []);
    let calm = at;
    for (const { from, to } of all.toSorted((a, b) => b.from - a.from))
      if (from <= calm && calm < to + backMs) calm = from;
    // A longer one that began earlier may cover where a short one began.
    return all.some(({ from, to }) => from < calm && calm < to + backMs) ? this.lastCalm(things, calm) : calm;
  }

  isCalm(things: readonly string[], from: number, to: number): boolean {
    return things.every((thing) =>
      (this.#disturbances.get(thing) ?? []).every((each) => each.to + backMs <= from || each.from > to),
    );
  }
}
