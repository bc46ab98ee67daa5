import { type Condition, maxStatusMessage } from '../api/condition.ts';

/** A condition before it has a time. */
export type Observed<T extends string = string, R extends string = string> = {
  readonly type: T;
  readonly status: Condition['status'];
  readonly reason: R;
  readonly message: string;
};

/** Conditions with the time of their last change of status: the former one while the status is the same. */
export const conditionsOf = (
  observed: readonly Observed[],
  before: readonly Condition[] | undefined,
  now: string,
): Condition[] =>
  observed.map(({ type, status, reason, message }) => {
    const old = before?.find((condition) => condition.type === type);
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : now;
    return { type, status, reason, message: cut(message), lastTransitionTime };
  });

export const conditionOf = (conditions: readonly Condition[] | undefined, type: string) =>
  conditions?.find((condition) => condition.type === type);

/** What programs act on of conditions: without messages and times. */
export const verdictsOf = (conditions: readonly Condition[]): readonly string[] =>
  conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);

/**
 * A text of at most `most` characters. No half of a surrogate pair is left at the end: the API server would keep another
 * text than the one that was sent, and the difference would be written again and again.
 */
export const cut = (text: string, most = maxStatusMessage): string =>
  (text.length > most ? `${text.slice(0, most - 1)}…` : text).toWellFormed();

/** `a, b, c and 4 more`. */
export const listed = (items: readonly string[], most: number, separator = ', '): string =>
  items.length <= most
    ? items.join(separator)
    : `${items.slice(0, most).join(separator)} and ${items.length - most} more`;
