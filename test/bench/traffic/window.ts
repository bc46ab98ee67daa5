import type { Asked, Crowd } from './crowd.ts';

/** From after one moment up to another, of the clock of the requests. */
export type Window = { readonly fromMs: number; readonly toMs: number };

const within = ({ fromMs, toMs }: Window, ms: number): boolean => ms > fromMs && ms <= toMs;

/**
 * From the answer number `skip` to the last one. While all rows are full, as many requests join between two answers
 * as leave, so that the window has its true share of prefill.
 */
export const windowAfter = ({ asked }: Crowd, skip: number): Window => {
  const done = asked.flatMap(({ doneMs }) => (doneMs === undefined ? [] : [doneMs])).sort((a, b) => a - b);
  const [fromMs, toMs] = [done[skip - 1], done.at(-1)];
  if (fromMs === undefined || toMs === undefined || toMs <= fromMs)
    throw new Error(`${done.length} answers leave no window after ${skip}`);
  return { fromMs, toMs };
};

/** Of all requests together, those included that were given up later. */
export const tokensPerSecond = (asked: readonly Pick<Asked, 'tokenMs'>[], window: Window): number => {
  const tokens = asked.flatMap(({ tokenMs }) => tokenMs.filter((ms) => within(window, ms)));
  return (tokens.length / (window.toMs - window.fromMs)) * 1000;
};

/** Milliseconds between the tokens of each answer. */
export const tokenGapsMs = (asked: readonly Asked[], window: Window): readonly number[] =>
  asked.flatMap(({ tokenMs }) =>
    tokenMs.flatMap((ms, i) => {
      const before = tokenMs[i - 1];
      return before !== undefined && within(window, ms) ? [ms - before] : [];
    }),
  );

/** Milliseconds from each request to its first token, what it waited in the queue included. */
export const firstTokensMs = (asked: readonly Asked[], window: Window): readonly number[] =>
  asked.flatMap(({ askedMs, tokenMs: [first] }) =>
    first !== undefined && within(window, first) ? [first - askedMs] : [],
  );

/** Whether another request waited whenever one of so many rows became free. */
export const isFull = ({ openAfter }: Crowd, skip: number, rows: number): boolean =>
  openAfter.slice(skip - 1).every((open) => open >= rows);

/** Answers that are over and have fewer tokens than they were to have. */
export const shortAnswers = ({ asked }: Crowd): number =>
  asked.filter(({ doneMs, tokenMs, maxTokens }) => doneMs !== undefined && tokenMs.length < maxTokens).length;
