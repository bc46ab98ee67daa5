/** Milliseconds that a rate is taken over, and between two of its points. */
const windowMs = 10_000;
const stepMs = 250;

type Point = { readonly at: number; readonly bytes: number };

/** How fast a growing number of bytes grows, over the last ten seconds. Times are monotonic milliseconds. */
export class Rate {
  #points: readonly Point[] = [];

  add(at: number, bytes: number): void {
    const last = this.#points.at(-1);
    if (last !== undefined && at - last.at < stepMs) return;
    this.#points = [...this.#points.filter((point) => at - point.at <= windowMs), { at, bytes }];
  }

  /** Bytes per second; 0 before anything is known. */
  at(now: number, bytes: number): number {
    const first = this.#points.find((point) => now - point.at <= windowMs);
    if (first === undefined || now <= first.at) return 0;
    return Math.max(0, ((bytes - first.bytes) * 1000) / (now - first.at));
  }
}
