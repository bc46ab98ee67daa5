import { type GroupStatus } from '../../api/group-status.ts';
import { type Group, groupSchema, restName } from '../../api/groups.ts';
import type { RolloutSpec } from '../../api/rollout.ts';
import { hash64Hex } from '../hash.ts';

const rest: Group = { ...groupSchema.parse({ name: 'any' }), name: restName };

/** The groups of a spec in their order, with the last one that it does not name; none where it has no groups. */
export const groupsOf = ({ groups }: Pick<RolloutSpec, 'groups'>): readonly Group[] =>
  groups === undefined ? [] : [...groups, rest];

/** Changes with what decides who is in a group; everything else of it may change while it is under way. */
const hashOf = ({ name, selector, limit }: Group): string => {
  const labels = Object.entries(selector?.matchLabels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return hash64Hex(JSON.stringify([name, labels, limit?.count ?? null, limit?.percentage ?? null]));
};

/** Groups none of which has begun. */
export const freshGroups = (groups: readonly Group[]): readonly GroupStatus[] =>
  groups.map((group) => ({
    name: group.name,
    phase: 'Pending',
    hash: hashOf(group),
    ...(group.selector === undefined ? {} : { selector: group.selector }),
    reach: 0,
    weight: 0,
    step: 0,
    message: '',
  }));

/** True when the spec says of the groups what it did when they were made. */
export const isOf = (status: readonly GroupStatus[], groups: readonly Group[]): boolean =>
  status.length === groups.length && groups.every((group, i) => hashOf(group) === status[i]?.hash);
