import type { Clock } from './clock.ts';

/** What is known of the time, in milliseconds since the epoch. */
export type KnownTime = {
  /** It is not earlier: somebody who is believed said so. */
  readonly atLeast: number;
  /** What the clock said last while nothing spoke against it. */
  readonly last: number;
};

/** Wall times in milliseconds. */
export type Span = { readonly from: number; readonly until: number };

/**
 * The clock of a machine that may begin in 1970: one without a battery, before it heard of the time.
 *
 * Guarantees: `now` is never before what is known; a clock that nothing speaks against is believed, whatever it said before, so that one
 * that was wrong for a while leaves nothing behind. Durations and timers are those of the machine.
 */
export class BoundedClock implements Clock {
  readonly #clock: Clock;
  #known: KnownTime;
  /** Monotonic time at which it was known. */
  #since: number;

  constructor(clock: Clock, known: KnownTime = { atLeast: 0, last: 0 }) {
    this.#clock = clock;
    this.#known = known;
    this.#since = clock.monotonic();
  }

  now(): number {
    const said = this.#clock.now();
    return this.isBehind ? this.known().last : said;
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(ms: number, fn: () => void): () => void {
    return this.#clock.after(ms, fn);
  }

  /** The machine's clock is wrong for sure: it says less than is known. */
  get isBehind(): boolean {
    return this.#clock.now() < this.#known.atLeast + this.#passed;
  }

  /** As of now, to be remembered. */
  known(): KnownTime {
    const atLeast = this.#known.atLeast + this.#passed;
    const last = this.isBehind ? Math.max(atLeast, this.#known.last + this.#passed) : this.#clock.now();
    return { atLeast, last };
  }

  /** It is not earlier than this, in milliseconds since the epoch. True: that is more than was known. */
  raise(ms: number): boolean {
    const { atLeast, last } = this.known();
    if (!(ms > atLeast)) return false;
    this.#known = { atLeast: ms, last };
    this.#since = this.#clock.monotonic();
    return true;
  }

  /** What is known of the time while the machine's clock is wrong; else what that says. What it said once is not believed here. */
  get least(): number {
    return Math.max(this.#clock.now(), this.known().atLeast);
  }

  /** The machine's clock says that it is between these, which are no bounds from 1970 on that every clock without a battery keeps. */
  agrees({ from, until }: Span): boolean {
    const said = this.#clock.now();
    return from > 0 && said >= from && said < until;
  }

  /**
   * Somebody who is believed says between what times it is. Where the clock of the machine agrees it is right: what spoke against it came from
   * somebody whose clock was ahead. True: something else is known than before.
   */
  settle(span: Span): boolean {
    const { from, until } = span;
    if (!this.isBehind) return this.raise(from);
    const { atLeast, last } = this.known();
    const isRight = this.agrees(span);
    const least = isRight ? from : Math.max(atLeast, from);
    this.#known = {
      atLeast: least,
      last: isRight ? this.#clock.now() : Math.max(least, Math.min(last, until)),
    };
    this.#since = this.#clock.monotonic();
    return isRight || least > atLeast;
  }

  get #passed(): number {
    return this.#clock.monotonic() - this.#since;
  }
}
