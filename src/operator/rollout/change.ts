import { isDeepStrictEqual } from 'node:util';
import { verdictsOf } from '../../api/condition.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { decidedOf, observedOf, setAsideType } from '../../rollout/decided.ts';

/**
 * What a new status is worth. Decision: something is different for runtimes, programs or people. Observation: only
 * counts, shares and messages are. Progress: only the time of the present pause or wait. None: nothing, or only the term.
 */
export type Change = 'None' | 'Progress' | 'Observation' | 'Decision';

export const changeOf = (before: RolloutStatus | undefined, after: RolloutStatus): Change => {
  if (before === undefined) return 'Decision';
  if (!isDeepStrictEqual(decisionsOf(before), decisionsOf(after))) return 'Decision';
  if (!isDeepStrictEqual(observationsOf(before), observationsOf(after))) return 'Observation';
  return hasPassed(before, after) ? 'Progress' : 'None';
};

/** Whether time of the present pause or wait is not written. */
export const hasPassed = (before: RolloutStatus | undefined, after: RolloutStatus): boolean =>
  before !== undefined && !isDeepStrictEqual(timesOf(before), timesOf(after));

const timesOf = ({ step, progress, analysis, groups }: RolloutStatus): unknown => [
  step?.elapsedMs,
  progress,
  analysis?.map(({ waitedMs }) => waitedMs),
  groups?.map(({ bakedMs }) => bakedMs),
];

const decisionsOf = (status: RolloutStatus): unknown => {
  const { analysis, conditions, ...decided } = decidedOf(status);
  return {
    ...decided,
    // A measurement that is not written would be taken again.
    analysis: analysis?.map((metric) => ({ ...metric, waitedMs: 0 })),
    conditions: verdictsOf(conditions.filter(({ type }) => type !== setAsideType)),
  };
};

const observationsOf = (status: RolloutStatus): unknown => {
  const { message, conditions, weights, groups } = status;
  return {
    ...observedOf(status),
    // With the condition that comes and goes.
    messages: [message, ...conditions.map((condition) => condition.message)],
    groups: groups?.map((group) => group.runtimes),
    observedCanary: weights.observedCanary,
  };
};
