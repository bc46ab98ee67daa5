import type { Clock } from '../../time/clock.ts';
import { spaced } from '../../time/spaced.ts';

/** Milliseconds between two rings at least: nobody reads faster. */
const gapMs = 250;
/** Milliseconds after which it rings by itself: what is shown also tells for how long something is so. */
const ageMs = 1000;

export type Bell = {
  /** Rings now, or when the gap since the last time is over. */
  readonly ring: () => void;
  /** Resolves when it rang since the last time that somebody waited, and after a second. @throws the reason of the signal */
  readonly rung: (signal?: AbortSignal) => Promise<void>;
  readonly close: () => void;
};

/** Tells one listener that there is something new, at most four times a second. */
export const createBell = (clock: Clock): Bell => {
  let hasRung = false;
  let wake = (): void => undefined;
  const { ask, close } = spaced(
    () => {
      hasRung = true;
      wake();
    },
    { clock, gapMs },
  );
  return {
    ring: ask,
    close,
    rung: async (signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      if (hasRung) resolve();
      const stop = clock.after(ageMs, resolve);
      const end = (): void => resolve();
      signal?.addEventListener('abort', end);
      await promise;
      signal?.removeEventListener('abort', end);
      stop();
      hasRung = false;
      signal?.throwIfAborted();
    },
  };
};
