import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './patience.ts';

const why = (error: unknown): string =>
  error instanceof Error ? `; the last look failed: ${error.message}` : '';

/** Waits until `look` gives a value that is neither undefined nor false; throws with `what` when the time is over. */
export const waitFor = async <T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  usualMs = 30_000,
): Promise<T> => {
  const timeoutMs = usualMs * patience;
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    last = undefined;
    try {
      const value = await look();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end)
      throw new Error(`waited ${timeoutMs} ms for ${what}${why(last)}`, { cause: last });
    await sleep(20);
  }
};
