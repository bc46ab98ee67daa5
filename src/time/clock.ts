/** Time comes in through this, never from globals, so that tests own it. */
export type Clock = {
  /** Wall time, milliseconds since the epoch. Only for what people read and for ordering across restarts. */
  now(): number;
  /** Monotonic time in milliseconds, for durations. */
  monotonic(): number;
  /** Calls `fn` once after `ms`; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
};

/**
 * The machine's clock. Its timers keep no process alive: what the process is for does (src/cli/alive-until.ts, or the
 * channel to a parent).
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, Math.min(ms, 2_147_483_647));
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};
