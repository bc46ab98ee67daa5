import { z } from 'zod';

/** Quantiles are off by at most this share of themselves. */
export const relativeError = 0.02;
const gamma = (1 + relativeError) / (1 - relativeError);
const logGamma = Math.log(gamma);

/** Milliseconds; what is outside counts as the nearest end, so that a sketch is bounded (576 bins at most). */
const minMs = 0.001;
const maxMs = 10_000_000;

/** The nearest latency that is counted; the shortest for what is no number. */
export const countedMs = (ms: number): number => (ms > minMs ? Math.min(maxMs, ms) : minMs);

const binOf = (ms: number): number => Math.ceil(Math.log(countedMs(ms)) / logGamma);
const firstBin = binOf(minMs);
const lastBin = binOf(maxMs);

/** How many requests fell into each bin; `counts[0]` is about the bin `first`. Empty: `{first: 0, counts: []}`. */
export const sketchSchema = z
  .strictObject({
    first: z.int().min(firstBin).max(lastBin),
    counts: z.array(z.int().min(0)).max(lastBin - firstBin + 1),
  })
  .readonly();
/** As {@link sketchSchema}, for what comes by the thousand: counts are known to be whole numbers from 0. */
export const isInRange = ({ first, counts }: Sketch): boolean =>
  first >= firstBin && first + counts.length <= lastBin + 1;

export type Sketch = { readonly first: number; readonly counts: readonly number[] };

/** A factor as a number of bins, for shifting one sketch against another. */
export const binsOfFactor = (factor: number): number => Math.round(Math.log(factor) / logGamma);

/**
 * A latency distribution in logarithmic bins: DDSketch (Masson, Rim, Lee 2019, "DDSketch: a fast and fully-mergeable
 * quantile sketch with relative-error guarantees", VLDB 12). Merging loses nothing.
 */
export class LatencySketch implements Sketch {
  first = 0;
  readonly counts: number[] = [];

  add(ms: number): void {
    this.#count(binOf(ms), 1);
  }

  merge({ first, counts }: Sketch): void {
    for (const [i, count] of counts.entries()) if (count > 0) this.#count(first + i, count);
  }

  #count(bin: number, by: number): void {
    if (this.counts.length === 0) this.first = bin;
    for (; bin < this.first; this.first -= 1) this.counts.unshift(0);
    const at = bin - this.first;
    while (this.counts.length <= at) this.counts.push(0);
    this.counts[at] = (this.counts[at] ?? 0) + by;
  }
}

export const totalOf = ({ counts }: Sketch): number => counts.reduce((sum, count) => sum + count, 0);

/** The q-quantile in milliseconds (q from 0 to 1), within {@link relativeError}; undefined without requests. */
export const quantileOf = (sketch: Sketch, q: number): number | undefined => {
  const rank = q * (totalOf(sketch) - 1);
  let below = 0;
  for (const [i, count] of sketch.counts.entries()) {
    below += count;
    if (below > rank) return (2 * gamma ** (sketch.first + i)) / (gamma + 1);
  }
  return undefined;
};
