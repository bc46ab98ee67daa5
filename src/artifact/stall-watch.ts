import type { Clock } from '../time/clock.ts';

/** Aborts once nothing was heard of `what` for `ms`. */
export const watchOver = (clock: Pick<Clock, 'after'>, ms: number, what: string) => {
  const controller = new AbortController();
  const start = () =>
    clock.after(ms, () => controller.abort(new Error(`${what} made no progress for ${ms} ms`)));
  let stop = start();
  return {
    signal: controller.signal,
    heard: (): void => {
      stop();
      stop = start();
    },
    [Symbol.dispose]: () => stop(),
  };
};
