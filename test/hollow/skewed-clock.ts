import { type Clock, systemClock } from '../../src/time/clock.ts';

/** The clock of a machine whose wall time is wrong. Durations are right: no machine gets those wrong. */
export class SkewedClock implements Clock {
  /** Milliseconds that the wall time is ahead. */
  skewMs = 0;

  now(): number {
    return systemClock.now() + this.skewMs;
  }
  monotonic(): number {
    return systemClock.monotonic();
  }
  after(ms: number, fn: () => void): () => void {
    return systemClock.after(ms, fn);
  }
}
