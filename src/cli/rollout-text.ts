import type { MetricStatus, MirrorStatus } from '../api/rollout-status.ts';

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

/** What mirroring found, in one line. */
export const mirrorText = (mirror: MirrorStatus): string => {
  const { requests, failed, dropped, compared, equal, similarity, latencyRatio } = mirror;
  const counted = `${requests} copies, ${failed} failed, ${dropped} dropped`;
  const alike =
    equal === undefined || similarity === undefined
      ? 'none compared'
      : `${compared} compared: ${percent(equal)} equal, similarity ${similarity.toFixed(2)}`;
  const time =
    latencyRatio === undefined ? '' : `, first token in ${latencyRatio.toFixed(2)} of stable's time`;
  return `${counted}; ${alike}${time}`;
};

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
