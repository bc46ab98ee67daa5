/** Time comes in through this, never from globals, so that tests own it. */
export type Clock = {
  /** Wall time, milliseconds since the epoch. Only for what people read and for ordering across restarts. */
  now(): number;
  /** Monotonic time in milliseconds, for durations. */
  monotonic(): number;
  /** Calls `fn` once, not before `ms` have passed by `monotonic`; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
};

/** Milliseconds that a timer of Node can count. */
const longestTimer = 2_147_483_647;

/**
 * The machine's clock. Its timers keep no process alive: what the process is for does (src/cli/alive-until.ts, or the
 * channel to a parent).
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    const due = performance.now() + ms;
    let timer: NodeJS.Timeout | undefined;
    const arm = (left: number): void => {
      timer = setTimeout(fire, Math.min(Math.ceil(left), longestTimer));
      timer.unref();
    };
    // Node counts whole milliseconds from the start of a turn of its loop: half of its timers are early by a part of one.
    const fire = (): void => {
      const left = due - performance.now();
      if (left > 0) arm(left);
      else fn();
    };
    arm(ms);
    return () => {
      clearTimeout(timer);
    };
  },
};
