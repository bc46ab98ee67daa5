import type { Clock } from './clock.ts';

/**
 * Runs `run` at most once every `gapMs`, however often it is asked for: at once when the last time is long ago, else
 * when the gap is over. `close` forgets what waits.
 */
export const spaced = (
  run: () => void,
  { clock, gapMs }: { readonly clock: Clock; readonly gapMs: number },
) => {
  let ranAt = Number.NEGATIVE_INFINITY;
  let stop: (() => void) | undefined;
  const now = (): void => {
    stop = undefined;
    ranAt = clock.monotonic();
    run();
  };
  return {
    ask: (): void => {
      if (stop !== undefined) return;
      const left = ranAt + gapMs - clock.monotonic();
      if (left <= 0) now();
      else stop = clock.after(left, now);
    },
    close: (): void => stop?.(),
  };
};
