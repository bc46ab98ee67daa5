import { type Amount, amountOf } from '../api/groups.ts';
import type { RolloutFailure } from '../api/rollout-status.ts';

/** In a fleet of at most so many runtimes the first failure gives a canary up, and each runtime's counts are believed. */
export const smallFleet = 4;
/** Of larger ones so much may fail, and one at least, where the spec does not say. */
const share: Amount = { percentage: '10%' };

/** How many of so many runtimes may fail. One is left at least: of nobody nothing can be said. */
export const mayFail = (maxFailures: Amount | undefined, runtimes: number): number => {
  const byDefault = runtimes > smallFleet ? Math.max(1, amountOf(share, runtimes)) : 0;
  const allowed = maxFailures === undefined ? byDefault : amountOf(maxFailures, runtimes);
  return Math.max(0, Math.min(allowed, runtimes - 1));
};

/** From the one that is certain to those that may yet be no failure. */
const kinds: readonly (readonly RolloutFailure['reason'][])[] = [
  ['Refused', 'GuardTripped'],
  ['CountsDiffer'],
  ['NotReadyInTime'],
];

/**
 * Those failures that a rollout goes on without. More refusals and tripped guards than are allowed: none at all, the canary
 * fails. Of what they leave, counts that contradict the others and then late runtimes take their share, all of a kind or
 * none: where many are late, it is the rollout that is late.
 *
 * @param failures at most one for each runtime
 */
export const setAside = (failures: readonly RolloutFailure[], allowed: number): readonly RolloutFailure[] => {
  const aside: RolloutFailure[] = [];
  for (const [i, reasons] of kinds.entries()) {
    const ofKind = failures.filter(({ reason }) => reasons.includes(reason));
    if (aside.length + ofKind.length <= allowed) aside.push(...ofKind);
    else if (i === 0) return [];
  }
  return aside;
};
