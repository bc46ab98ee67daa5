import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { RolloutState } from './fleet.ts';

/** Most counts of weights that are kept of one runtime, over all rollouts. It keeps 512 itself; each takes some 6 kB. */
export const maxCounts = 4096;

/** A report tells only the counts that changed: those of other weights stay, as long as they are about the same attempt. */
export const withFormerCounts = (before: RolloutState | undefined, now: RolloutState): RolloutState => {
  if (before === undefined || before.counts.length === 0 || !isSameTrial(before, now)) return now;
  if (now.counts.length === 0) return { ...now, counts: before.counts };
  const byWeight = new Map([...before.counts, ...now.counts].map((counts) => [counts.weight, counts]));
  return { ...now, counts: [...byWeight.values()] };
};

/** @throws HELLO_INVALID */
export const limitCounts = (rollouts: Iterable<RolloutState>): void => {
  let all = 0;
  for (const { counts } of rollouts) all += counts.length;
  if (all > maxCounts)
    throw new AdaptletError(
      'HELLO_INVALID',
      `the runtime reports counts of ${all} weights, at most ${maxCounts} are kept`,
    );
};

const isSameTrial = (a: RolloutState, b: RolloutState): boolean =>
  a.uid === b.uid && a.canaryDigest === b.canaryDigest && a.attempt === b.attempt;
