type Backoff = { readonly firstMs: number; readonly mostMs: number };

const retryBackoff: Backoff = { firstMs: 1_000, mostMs: 300_000 };

/** Milliseconds until the next try after `attempts` failures in a row; up to half of it is taken off by `random`. */
export const backoffMs = (attempts: number, random: () => number, backoff: Backoff = retryBackoff): number =>
  Math.min(backoff.mostMs, backoff.firstMs * 2 ** Math.min(30, attempts - 1)) * (1 - random() / 2);
