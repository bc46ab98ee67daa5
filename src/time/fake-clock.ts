import type { Clock } from './clock.ts';

/** A clock that only moves when a test says so; timers fire in order of their time. */
export class FakeClock implements Clock {
  #now: number;
  /** What the wall clock is ahead of the other. */
  #ahead = 0;
  #timers: { at: number; fn: () => void }[] = [];
  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs;
  }
  now(): number {
    return this.#now + this.#ahead;
  }
  monotonic(): number {
    return this.#now;
  }
  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  }
  /** Sets the wall clock, as people and NTP do; no time passes. */
  set(wallMs: number): void {
    this.#ahead = wallMs - this.#now;
  }
  /** Moves time forward by `ms`, firing what falls due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = due.at;
      due.fn();
    }
    this.#now = end;
  }
}
