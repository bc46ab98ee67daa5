import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { Clock } from '../../time/clock.ts';
import { unlessAborted } from '../../time/unless-aborted.ts';

export type Limit = {
  readonly clock: Clock;
  readonly ms: number;
  /** Of the error when the time is over. */
  readonly code: ErrorCode;
  readonly what: string;
};

/**
 * Runs work that must show progress every `ms`: `alive` starts the time anew. The work gets a signal that is aborted
 * when the time is over or the outer signal is.
 */
export const withLimit = async <T>(
  { clock, ms, code, what }: Limit,
  outer: AbortSignal,
  work: (signal: AbortSignal, alive: () => void) => Promise<T>,
): Promise<T> => {
  outer.throwIfAborted();
  const over = new AbortController();
  const start = () =>
    clock.after(ms, () => {
      over.abort(new AdaptletError(code, `${what} after ${ms} ms`));
    });
  let cancel = start();
  const alive = () => {
    cancel();
    cancel = start();
  };
  const signal = AbortSignal.any([outer, over.signal]);
  try {
    return await unlessAborted(work(signal, alive), signal);
  } finally {
    cancel();
  }
};
