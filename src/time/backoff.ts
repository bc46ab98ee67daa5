/** Waiting times between tries: they double from the first to the longest. */
export type Delays = {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Part of a waiting time that chance takes off at most: 0.5 unless said, 1 for many that fail at the same moment. */
  readonly jitter?: number;
};

/**
 * Milliseconds to wait after `failures` failures in a row, from 1 on. `random` (uniform in [0, 1)) takes off a part of it,
 * so that those who failed together do not come back together.
 */
export const backoffMs = (
  failures: number,
  random: () => number,
  { firstMs, maxMs, jitter = 0.5 }: Delays,
): number => Math.min(maxMs, firstMs * 2 ** Math.min(30, failures - 1)) * (1 - random() * jitter);
