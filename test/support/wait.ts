import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './patience.ts';

const why = (error: unknown): string =>
  error instanceof Error ? `; the last look failed: ${error.message}` : '';

/** A look gets so much longer: it may be a whole request. One that never ends must not make a test wait for ever. */
const hangMs = 60_000 * patience;

const isFound = <T>(value: T | undefined | false): value is T => value !== undefined && value !== false;

/** Waits until `look` gives a value that is neither undefined nor false; throws with `what` when the time is over. */
export const waitFor = async <T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  usualMs = 30_000,
): Promise<T> => {
  const timeoutMs = usualMs * patience;
  const over = new AbortController();
  const end = performance.now() + timeoutMs;
  const hangs = sleep(timeoutMs + hangMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`it did not end in ${hangMs} ms`);
  });
  hangs.catch(() => undefined); // reported below, or nobody waits any more
  try {
    for (;;) {
      let last: unknown;
      try {
        const value = await Promise.race([look(), hangs]);
        if (isFound(value)) return value;
      } catch (error) {
        last = error;
      }
      if (performance.now() > end)
        throw new Error(`waited ${timeoutMs} ms for ${what}${why(last)}`, { cause: last });
      await sleep(20);
    }
  } finally {
    over.abort();
  }
};
