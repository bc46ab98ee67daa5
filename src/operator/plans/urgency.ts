import type { Manifest, RolloutObject } from '../../api/objects.ts';

type Status = RolloutObject['status'];

const endings: ReadonlySet<unknown> = new Set(['Aborted', 'RolledBack', 'FastRolledBack']);

/**
 * Whether a change takes something out of service: an abort, a rollback, less of a canary, another one in its place, or the end of
 * a rollout. It goes before all others.
 */
export const takesBack = (before: Manifest | undefined, after: Manifest | undefined): boolean => {
  if (before?.kind !== 'AdapterRollout') return false;
  if (after?.kind !== 'AdapterRollout')
    return before.status?.stable !== undefined || isServing(before.status);
  return (
    isGivenUp(before.status, after.status) ||
    isTakenBack(before.status, after.status) ||
    isGroupBack(before.status, after.status)
  );
};

/** Whether a canary gets requests anywhere. */
const isServing = (status: Status): boolean =>
  status?.canary !== undefined &&
  (status.weights.canary > 0 || status.groups?.some(({ weight }) => weight > 0) === true);

const isGivenUp = (before: Status, after: Status): boolean =>
  (after?.abort !== undefined && before?.abort?.at !== after.abort.at) ||
  (endings.has(after?.completionStatus) && before?.completionStatus !== after?.completionStatus);

const isTakenBack = (before: Status, after: Status): boolean => {
  if (before?.canary === undefined || !isServing(before)) return false;
  const { canary } = before;
  // One that became stable was not taken back.
  if (after?.stable?.uid === canary.uid && after.stable.digest === canary.digest) return false;
  const isSame =
    after?.canary?.uid === canary.uid &&
    after.canary.digest === canary.digest &&
    after.canary.attempt === canary.attempt;
  // In groups the weight is that of the present one.
  const isInGroups = before.groups !== undefined || after?.groups !== undefined;
  return !isSame || (!isInGroups && after.weights.canary < before.weights.canary);
};

const isGroupBack = (before: Status, after: Status): boolean =>
  after?.groups?.some(({ name, phase, weight }) => {
    const former = before?.groups?.find((group) => group.name === name);
    return (
      former !== undefined && (weight < former.weight || (phase === 'RolledBack' && former.phase !== phase))
    );
  }) ?? false;
