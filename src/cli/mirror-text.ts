import type { MirrorStatus } from '../api/rollout-status.ts';

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
