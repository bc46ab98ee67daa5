import type { GroupStatus } from '../../src/api/group-status.ts';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import { type Pair, waitsPassed } from './pair.ts';

/** How far a group that goes well is. */
const ranks: Readonly<Partial<Record<GroupStatus['phase'], number>>> = {
  Pending: 0,
  Progressing: 1,
  Baking: 2,
  Paused: 3,
  Succeeded: 4,
};

const isPending = ({ phase }: GroupStatus): boolean => phase === 'Pending';

/** Groups of the same canary that began from one status to the other. */
export const begunBetween = ({ groups: before = [] }: RolloutStatus, { groups: after = [] }: RolloutStatus) =>
  after.filter((group, at) => !isPending(group) && before[at] !== undefined && isPending(before[at])).length;

/** One canary in one attempt: it goes from group to group, through all steps in each, and nobody is moved to another group. */
export const wrongInGroups = (pair: Pair): string | undefined => {
  const { before, after, isNext } = pair;
  const [from, to] = [before.groups ?? [], after.groups ?? []];
  // Groups that were edited, or that a retry begins anew.
  if (from.length === 0 || from.map(({ hash }) => hash).join() !== to.map(({ hash }) => hash).join())
    return undefined;
  const isAsked = before.lastHandledRequest !== after.lastHandledRequest;
  const isWhole = after.step?.full === true || after.abort !== undefined || isAsked;
  for (const [at, group] of to.entries()) {
    const was = from[at];
    if (was === undefined) continue;
    const about = `group ${group.name}`;
    if (!isPending(was) && was.reach !== group.reach) return `${about} reached others than when it began`;
    if (isWhole) continue;
    const [rank, now] = [ranks[was.phase], ranks[group.phase]];
    if (rank !== undefined && now !== undefined && now < rank)
      return `${about} fell from ${was.phase} to ${group.phase}`;
    const isEarly = to.slice(0, at).some(({ phase }) => phase !== 'Succeeded');
    if (isPending(was) && !isPending(group) && isEarly)
      return `${about} began before those in front of it ended`;
    const wrong = isNext ? stepsOf(pair, was, group) : undefined;
    if (wrong !== undefined) return `${about}: ${wrong}`;
  }
  return undefined;
};

const stepsOf = ({ steps }: Pair, was: GroupStatus, group: GroupStatus): string | undefined => {
  if (was.phase !== 'Progressing' && was.phase !== 'Pending') return undefined;
  // Nobody is in it.
  if (group.reach === 0) return undefined;
  const isThrough = ['Baking', 'Paused', 'Succeeded'].includes(group.phase);
  if (!isThrough && group.phase !== 'Progressing') return undefined;
  const [from, to] = [was.phase === 'Pending' ? 0 : was.step + 1, isThrough ? steps.length : group.step];
  if (!isThrough && group.step < was.step) return `its step fell from ${was.step} to ${group.step}`;
  const passed = waitsPassed(steps, from, to);
  return passed > 0 ? `${passed} steps that wait were left out` : undefined;
};
