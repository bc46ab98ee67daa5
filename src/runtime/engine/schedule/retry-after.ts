/** Milliseconds: a retry earlier than that finds the same queue, and one later than that leaves places free. */
const shortest = 250;
const longest = 30_000;
/** As long as nothing is known. */
const unknown = 1000;

/**
 * Milliseconds after which a request that the full queue refused may try again: until those that wait now are done, at the
 * rate at which requests ended of late, if it is known.
 */
export const retryAfterMs = (waiting: number, recentCompletionsPerSecond: number | undefined): number => {
  if (recentCompletionsPerSecond === undefined) return unknown;
  if (!(recentCompletionsPerSecond > 0)) return longest;
  const ms = Math.ceil((waiting / recentCompletionsPerSecond) * 1000);
  return Math.min(longest, Math.max(shortest, ms));
};
