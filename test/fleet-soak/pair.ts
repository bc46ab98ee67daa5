import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import type { SoakStep } from './names.ts';

/** Two statuses of one rollout that were seen one after the other. */
export type Pair = {
  readonly before: RolloutStatus;
  readonly after: RolloutStatus;
  readonly steps: readonly SoakStep[];
  /** Nothing between them was missed: both came over one watch. */
  readonly isNext: boolean;
};

/** A preload waits as well, but may be over at once. */
const waits = ({ pause, analysis }: SoakStep): boolean => pause !== undefined || analysis !== undefined;

/** Steps that take their time, among those from index `from` to below `to`. */
export const waitsPassed = (steps: readonly SoakStep[], from: number, to: number): number =>
  steps.slice(from, to).filter(waits).length;
