import type { GroupStatus } from '../api/group-status.ts';
import type { RolloutStatus } from '../api/rollout-status.ts';

/** Fields of a status that tell what was seen of runtimes: they decide nothing, and no plan depends on them. */
export const observedFields = [
  'runtimes',
  'columns',
  'apart',
  'mirror',
  'failures',
] as const satisfies readonly (keyof RolloutStatus)[];
type ObservedField = (typeof observedFields)[number];

const isObserved = (field: string): field is ObservedField => observedFields.some((one) => one === field);

/** A condition that tells the same as `failures`: it comes and goes with what runtimes report. */
export const setAsideType = 'RuntimesSetAside' as const;

/** These fields of a status. */
export const observedOf = (status: RolloutStatus): Pick<RolloutStatus, ObservedField> =>
  Object.fromEntries(Object.entries(status).filter(([field]) => isObserved(field)));

/** A group without what was seen of its runtimes, and the time of its bake. */
export const decidedOfGroup = (group: GroupStatus) => {
  const { runtimes: _, bakedMs: __, ...decided } = group;
  return decided;
};

/** A status without these, messages, the term, and the time of the present pause or wait. */
export const decidedOf = (status: RolloutStatus) => {
  const others = Object.entries(status).filter(([field]) => !isObserved(field));
  const {
    message: _,
    revision: __,
    leaderEpoch: ___,
    progress: ____,
    ...rest
  } = Object.fromEntries(others) as Omit<RolloutStatus, ObservedField>;
  const { weights, step, groups, ...decided } = rest;
  return {
    ...decided,
    weight: weights.canary,
    mirrorWeight: weights.mirror,
    step: step && { ...step, elapsedMs: 0 },
    groups: groups?.map(decidedOfGroup),
  };
};
