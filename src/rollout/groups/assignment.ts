import type { GroupStatus } from '../../api/group-status.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { groupOf, groupPointOf, isOpenTo } from './membership.ts';

/** What a rollout gives one runtime of its canary. */
export type Assignment = {
  /** False: the canary is brought to its disk, no further. */
  readonly isLoaded: boolean;
  /** Percent of requests that the canary is allowed there. */
  readonly weight: number;
  /** Percent of requests that it gets a copy of. */
  readonly mirror: number;
};

const none: Assignment = { isLoaded: false, weight: 0, mirror: 0 };

type Decided = Pick<RolloutStatus, 'weights' | 'groups' | 'abort'>;

/**
 * What a status gives a runtime: everything effective is in it, so that node and operator say the same. Without groups
 * all runtimes get the same; in groups, one that no group has begun with gets nothing.
 */
export const assignmentOf = (
  status: Decided,
  rolloutUid: string,
  runtime: { readonly key: string; readonly labels: Readonly<Record<string, string>> },
): Assignment => {
  const { groups, abort } = status;
  if (abort !== undefined || groups === undefined) return assignmentIn(status, undefined, true);
  const candidate = { point: groupPointOf(rolloutUid, runtime.key), labels: runtime.labels };
  const group = groupOf(groups, candidate);
  return assignmentIn(status, group, group !== undefined && isOpenTo(group, candidate));
};

/** The same for runtimes of a group; undefined: that are in none. `isOpen`: the group, or the rollout without groups, is open to them. */
export const assignmentIn = (
  { weights, groups, abort }: Decided,
  group: GroupStatus | undefined,
  isOpen: boolean,
): Assignment => {
  const { canary: weight, mirror = 0 } = weights;
  if (abort !== undefined) return none;
  if (groups === undefined) return { isLoaded: true, weight, mirror };
  if (group === undefined || group.phase === 'RolledBack' || !isOpen) return none;
  const isPresent = group === groups.find(({ phase }) => phase !== 'Succeeded');
  return { isLoaded: true, weight: group.weight, mirror: isPresent ? mirror : 0 };
};
