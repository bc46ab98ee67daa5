import { type Condition, conditionOf } from '../../api/condition.ts';
import type { Clock } from '../../time/clock.ts';

/** Looks at objects, of all kinds together: `perSecond` in the long run, `burst` at once. */
const usual = { perSecond: 8, burst: 100 };

/**
 * When objects are looked at again for counts alone, as those of runtimes that came or went: the first ones at once, the
 * others one after the other. So a runtime that comes and goes costs the same with ten thousand objects as with a hundred,
 * and what it was between two looks costs nothing.
 */
export class Spread {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #everyMs: number;
  readonly #burstMs: number;
  /** Monotonic time of the last place that was given away; nothing that is over matters. */
  #last = Number.NEGATIVE_INFINITY;
  /** Places that are to come, by who has them, in their order. */
  readonly #places = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>, { perSecond, burst } = usual) {
    this.#clock = clock;
    this.#everyMs = 1000 / perSecond;
    this.#burstMs = burst * this.#everyMs;
  }

  /** Milliseconds until somebody's place; who has one that is to come keeps it. */
  delayOf(key: string): number {
    const now = this.#clock.monotonic();
    for (const [other, at] of this.#places) {
      if (at > now) break;
      this.#places.delete(other);
    }
    const known = this.#places.get(key);
    if (known !== undefined) return known - now;
    this.#last = Math.max(this.#last, now - this.#burstMs) + this.#everyMs;
    if (this.#last <= now) return 0;
    this.#places.set(key, this.#last);
    return this.#last - now;
  }
}

/** Written as ready for the present spec: nobody waits for it. */
export const isSettled = ({
  metadata: { generation },
  status,
}: {
  readonly metadata: { readonly generation: number };
  readonly status?:
    | { readonly observedGeneration: number; readonly conditions: readonly Condition[] }
    | undefined;
}): boolean =>
  status?.observedGeneration === generation && conditionOf(status.conditions, 'Ready')?.status === 'True';
