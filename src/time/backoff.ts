/** Waiting times between tries: they double from the first to the longest. */
export type Delays = { readonly firstMs: number; readonly maxMs: number };

/**
 * Milliseconds to wait after `failures` failures in a row, from 1 on. Up to half of it is taken off by `random`
 * (uniform in [0, 1)), so that those who failed together do not come back together.
 */
export const backoffMs = (failures: number, random: () => number, { firstMs, maxMs }: Delays): number =>
  Math.min(maxMs, firstMs * 2 ** Math.min(30, failures - 1)) * (1 - random() / 2);
