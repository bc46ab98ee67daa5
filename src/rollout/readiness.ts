import { percentOf } from '../api/percent.ts';
import type { Step } from '../api/rollout.ts';
import type { AdapterFact } from './facts.ts';

/** Percent of the connected runtimes that must be ready at a step: what the last preload up to it says. */
const thresholdAt = (steps: readonly Step[], index: number): number => {
  const { successThreshold } = steps.slice(0, index + 1).findLast((step) => step.preload)?.preload ?? {};
  return successThreshold === undefined ? 100 : percentOf(successThreshold);
};

/** True when enough runtimes have the canary Resident for the step. One at least: nobody is not enough of anything. */
export const isReadyFor = (fact: AdapterFact | undefined, steps: readonly Step[], index: number): boolean => {
  if (fact?.state !== 'Pending') return fact?.state === 'Resident';
  const { ready = 0, connected = 0 } = fact.runtimes ?? {};
  return ready > 0 && ready * 100 >= connected * thresholdAt(steps, index);
};
