import type { MetricStatus } from '../api/rollout-status.ts';

/** Where a metric is measured. */
export const whereOf = ({ step }: Pick<MetricStatus, 'step'>): string =>
  step === undefined ? 'beside the steps' : `step ${step + 1}`;

type Taken = Pick<MetricStatus, 'taken' | 'failed' | 'inconclusive' | 'consecutiveErrors'>;

/** How often it was measured, and how often that was no success. */
export const takenText = ({ taken, failed, inconclusive, consecutiveErrors }: Taken): string =>
  [
    `${taken}`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(inconclusive === 0 ? [] : [`${inconclusive} inconclusive`]),
    ...(consecutiveErrors === 0 ? [] : [`${consecutiveErrors} errors in a row`]),
  ].join(', ');
