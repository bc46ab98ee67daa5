import type { Clock } from '../../../src/time/clock.ts';

/** What one request of a crowd asks for. */
export type Ask = {
  /** Name of a loaded adapter, or null for the base model. */
  readonly adapter: string | null;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
};

/** A request and what came of it; times are the clock's. */
export type Asked = Ask & {
  readonly askedMs: number;
  readonly tokenMs: readonly number[];
  /** undefined while it runs, and of one that was given up at the end. */
  readonly doneMs: number | undefined;
};

/** Sends it, calls `token` for each token, resolves at the end of the answer. Aborting the signal ends it with an error. */
export type Send = (ask: Ask, token: () => void, signal: AbortSignal) => Promise<void>;

export type CrowdOptions = {
  readonly clock: Clock;
  /** Milliseconds to the next arrival. */
  readonly gapMs: () => number;
  /** Of the arrival that is let in next; `index` counts those. `open`: those that run or wait. */
  readonly next: (index: number, open: readonly Ask[]) => Ask;
  /** An arrival that finds as many open is turned away. */
  readonly mostOpen: number;
  readonly send: Send;
  /** So many answers end it; what is open then is given up. */
  readonly answers: number;
};

export type Crowd = {
  /** In the order of their arrival. */
  readonly asked: readonly Asked[];
  readonly turnedAway: number;
  /** How many were open right after each answer, in order. */
  readonly openAfter: readonly number[];
};

type Entry = Ask & { readonly askedMs: number; readonly tokenMs: number[]; doneMs: number | undefined };

/**
 * Requests that arrive on their own, whether or not those before them were answered, as far as a bounded queue lets
 * them in. Rejects with the first error of a request that was not given up.
 */
export const runCrowd = async (options: CrowdOptions): Promise<Crowd> => {
  const { clock, send } = options;
  const asked: Entry[] = [];
  const open = new Set<Entry>();
  const serving: Promise<void>[] = [];
  const openAfter: number[] = [];
  const enough = Promise.withResolvers<void>();
  const over = new AbortController();
  let turnedAway = 0;

  const serve = async (entry: Entry): Promise<void> => {
    try {
      await send(entry, () => entry.tokenMs.push(clock.monotonic()), over.signal);
      if (over.signal.aborted) return;
      entry.doneMs = clock.monotonic();
      open.delete(entry);
      openAfter.push(open.size);
      if (openAfter.length === options.answers) enough.resolve();
    } catch (error) {
      if (!over.signal.aborted) enough.reject(error);
    }
  };
  const enter = (): void => {
    const ask = options.next(asked.length, [...open]);
    const entry: Entry = { ...ask, askedMs: clock.monotonic(), tokenMs: [], doneMs: undefined };
    asked.push(entry);
    open.add(entry);
    serving.push(serve(entry));
  };
  let cancelArrival = (): void => undefined;
  const arrive = (): void => {
    if (open.size < options.mostOpen) enter();
    else turnedAway += 1;
    cancelArrival = clock.after(options.gapMs(), arrive);
  };

  arrive();
  try {
    await enough.promise;
  } finally {
    cancelArrival();
    over.abort();
    await Promise.all(serving);
  }
  return { asked, turnedAway, openAfter };
};
