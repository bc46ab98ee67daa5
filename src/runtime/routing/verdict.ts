/** Whether something holds. `unknown`: it cannot be told, so neither it nor its negation may be acted on. */
export type Verdict = boolean | 'unknown';

/** Holds when all do (Kleene's strong logic). What comes after the first that does not is not looked at. */
export const all = <T>(items: readonly T[], holds: (item: T) => Verdict): Verdict => {
  let verdict: Verdict = true;
  for (const item of items) {
    const one = holds(item);
    if (one === false) return false;
    if (one === 'unknown') verdict = 'unknown';
  }
  return verdict;
};

/** Holds when one does. What comes after the first that does is not looked at. */
export const any = <T>(items: readonly T[], holds: (item: T) => Verdict): Verdict => {
  let verdict: Verdict = false;
  for (const item of items) {
    const one = holds(item);
    if (one === true) return true;
    if (one === 'unknown') verdict = 'unknown';
  }
  return verdict;
};

export const negated = (verdict: Verdict): Verdict => (verdict === 'unknown' ? verdict : !verdict);
