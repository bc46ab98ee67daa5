import type { Clock } from '../../../time/clock.ts';
import type { StepAge } from '../protocol.ts';

/** Steps whose speed is remembered. */
const remembered = 32;
/** Between two looks at most so much counts: in a longer time this thread stood still, and the step may have, too. */
const longestLookMs = 1000;

type Running = { readonly work: number; readonly startedAt: number; ageMs: number };

/**
 * Says how long the present step runs, and how long it should: the slowest of the last steps, by the tokens or rows that each
 * took, is the measure. One step runs at a time.
 */
export class StepClock {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Milliseconds for one token or row. */
  readonly #speeds: number[] = [];
  #running: Running | undefined;
  #lookedAt: number;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
    this.#lookedAt = clock.monotonic();
  }

  /** Runs a step of so many tokens or rows. */
  async time<T>(work: number, step: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock.monotonic();
    this.#running = { work, startedAt, ageMs: 0 };
    try {
      return await step();
    } finally {
      this.#running = undefined;
      this.#speeds.push((this.#clock.monotonic() - startedAt) / work);
      if (this.#speeds.length > remembered) this.#speeds.shift();
    }
  }

  /** The present step; undefined while none runs. To be asked again and again: its age is what passed between. */
  look(): StepAge | undefined {
    const now = this.#clock.monotonic();
    const since = this.#lookedAt;
    this.#lookedAt = now;
    const running = this.#running;
    if (running === undefined) return undefined;
    running.ageMs += Math.min(longestLookMs, now - Math.max(since, running.startedAt));
    const expectedMs = this.#speeds.length === 0 ? undefined : Math.max(...this.#speeds) * running.work;
    return { ageMs: running.ageMs, ...(expectedMs === undefined ? {} : { expectedMs }) };
  }
}
