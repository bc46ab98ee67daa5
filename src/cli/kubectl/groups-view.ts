import type { GroupStatus } from '../../api/group-status.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { inColumns } from '../columns.ts';
import { icon } from './output.ts';

const tones = {
  Pending: 'quiet',
  Progressing: 'waiting',
  Baking: 'waiting',
  Paused: 'waiting',
  Succeeded: 'good',
  Failed: 'bad',
  RolledBack: 'bad',
} as const;

const runtimesText = ({ phase, reach, runtimes, message }: GroupStatus): string => {
  if (phase === 'Pending' || runtimes === undefined || reach === 0) return message;
  const { desired, ready, failed, offline } = runtimes;
  return [
    `${ready} of ${desired} ready`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(offline === 0 ? [] : [`${offline} offline`]),
  ].join(', ');
};

/** The groups of a rollout, one line for each; empty where it is not under way in groups. */
export const groupsView = ({ status }: RolloutObject): string[] => {
  const groups = status?.groups ?? [];
  if (groups.length === 0) return [];
  const rows = groups.map((group) => [
    `${icon(tones[group.phase])} ${group.name}`,
    group.phase,
    group.phase === 'Pending' || group.reach === 0 ? '' : `${group.weight} %`,
    runtimesText(group),
  ]);
  return ['', ...inColumns([['GROUP', 'STATUS', 'WEIGHT', 'RUNTIMES'], ...rows])];
};
