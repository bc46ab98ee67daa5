import type { Clock } from '../../../time/clock.ts';
import type { StepAge } from '../protocol.ts';

/** Steps of each kind whose speed is remembered. */
const remembered = 32;
/** A step of fewer takes about as long as one of a single token, as each reads all weights: it says nothing of one of many. */
const manyTokens = 16;
/** Between two looks at most so much counts: in a longer time this thread stood still, and the step may have, too. */
const longestLookMs = 1000;

type Running = { readonly work: number; ageMs: number };

/**
 * Says how long the present step runs, and how long it should: the slowest of the last steps, by the tokens or rows that each
 * took, is the measure; of those of few, and of those of many. One step runs at a time.
 */
export class StepClock {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Milliseconds for one token or row, of steps of few and of many. */
  readonly #speeds = { few: [] as number[], many: [] as number[] };
  #running: Running | undefined;
  #lookedAt = 0;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Runs a step of so many tokens or rows. */
  async time<T>(work: number, step: () => Promise<T>): Promise<T> {
    const running = { work, ageMs: 0 };
    this.#lookedAt = this.#clock.monotonic();
    this.#running = running;
    try {
      return await step();
    } finally {
      this.#age(running);
      this.#running = undefined;
      const speeds = this.#speedsOf(work);
      speeds.push(running.ageMs / work);
      if (speeds.length > remembered) speeds.shift();
    }
  }

  /** The present step; undefined while none runs. To be asked again and again: its age is what passed between. */
  look(): StepAge | undefined {
    const running = this.#running;
    if (running === undefined) return undefined;
    this.#age(running);
    const { work, ageMs } = running;
    const speeds = this.#speedsOf(work);
    return { ageMs, ...(speeds.length === 0 ? {} : { expectedMs: Math.max(...speeds) * work }) };
  }

  #speedsOf(work: number): number[] {
    return this.#speeds[work < manyTokens ? 'few' : 'many'];
  }

  #age(running: Running): void {
    const now = this.#clock.monotonic();
    running.ageMs += Math.min(longestLookMs, now - this.#lookedAt);
    this.#lookedAt = now;
  }
}
