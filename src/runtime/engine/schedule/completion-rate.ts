import type { Clock } from '../../../time/clock.ts';

/** Completions that the rate is taken of. */
const most = 32;

/** How many requests end per second, of late. */
export class CompletionRate {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #times: number[] = [];

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** One more ended. */
  count(): void {
    this.#times.push(this.#clock.monotonic());
    if (this.#times.length > most) this.#times.shift();
  }

  /** Undefined before two ended. */
  get perSecond(): number | undefined {
    const [first] = this.#times;
    if (first === undefined || this.#times.length < 2) return undefined;
    const seconds = (this.#clock.monotonic() - first) / 1000;
    return seconds > 0 ? (this.#times.length - 1) / seconds : undefined;
  }
}
