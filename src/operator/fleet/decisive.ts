import type { RolloutState } from './fleet.ts';

/** What of a report about a rollout a decision may depend on; what is counted is left out. */
export type Decisive = Pick<
  RolloutState,
  'uid' | 'stableDigest' | 'canaryDigest' | 'attempt' | 'weight' | 'holds'
>;

/** True when at most counts differ. */
export const isSameDecisive = (a: Decisive | undefined, b: Decisive | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.uid === b.uid &&
    a.stableDigest === b.stableDigest &&
    a.canaryDigest === b.canaryDigest &&
    a.attempt === b.attempt &&
    a.weight === b.weight &&
    isSameHolds(a.holds, b.holds));

const isSameHolds = (a: Decisive['holds'], b: Decisive['holds']): boolean =>
  a.length === b.length &&
  a.every((hold, index) => {
    const other = b[index];
    return (
      hold.digest === other?.digest &&
      hold.cause === other.cause &&
      hold.reason === other.reason &&
      hold.attempt === other.attempt
    );
  });
