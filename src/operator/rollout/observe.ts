import { cut } from '../../api/condition.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import type { Fleet } from '../../rollout/facts.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import { type Attempt, attemptOf, isHeld, isRefused, isResident } from './attempt.ts';
import { type SetAside, setAsideOf } from './set-aside.ts';
import { type ApartRuntime, everybody, type Member, type RolloutView } from './view.ts';

/** What the runtimes make of a status that was decided: counts, and the share that the canary really answered. */
export const observe = (
  view: RolloutView,
  status: RolloutStatus,
  { desired, allowed, failures, names }: SetAside = setAsideOf(view, attemptOf(status, false)),
): Fleet => {
  const { apart, target, away, rollout } = view;
  const notReady = view.members.length - desired.length;
  const { uid } = rollout.metadata;
  const attempt = attemptOf(status, false);
  const count = (holds: (member: Member) => boolean): number => desired.filter(holds).length;
  const observedCanary = shareOf(everybody(view), status, attempt, rollout.status?.weights.observedCanary);
  return {
    runtimes: {
      desired: desired.length,
      updated: count((member) => isUpdated(member, status, attempt, uid)),
      ready: count((member) => isResident(member, target?.digest)),
      failed: target === undefined ? 0 : count((member) => isRefused(member, target, attempt)),
      held: count((member) => isHeld(member, attempt) || isStableHeld(member, status)),
      offline: away.length,
      ...(apart.length === 0 ? {} : { cordoned: apart.length }),
      ...(names.size === 0 ? {} : { setAside: names.size }),
      ...(notReady === 0 ? {} : { notReady }),
    },
    ...(failures.length === 0 ? {} : { failures: { all: failures, allowed } }),
    ...(apart.length === 0 ? {} : { apart: apart.slice(0, maxApart).map((one) => servingOf(one, status)) }),
    ...(observedCanary === undefined ? {} : { observedCanary }),
  };
};

/** Runtimes that a status names. */
const maxApart = 10;

/** What a runtime serves that the rollout does not wait for. */
const servingOf = (
  { name, restraint, report }: ApartRuntime,
  { stable, canary, history }: RolloutStatus,
): NonNullable<Fleet['apart']>[number] => {
  const digest = report?.stableDigest;
  const bound = [stable, canary, ...history].find((one) => one?.digest === digest);
  const serves = bound?.adapter ?? digest ?? '';
  return { runtime: cut(name, 512), why: restraint, ...(serves === '' ? {} : { serves }) };
};

/** Something else answers for stable there. */
const isStableHeld = ({ report }: Member, { stable }: RolloutStatus): boolean =>
  report?.holds.some(({ digest }) => digest === stable?.digest) === true;

/** The runtime follows the plan that this status amounts to. */
const isUpdated = (
  { name, labels, report, isSilent }: Member,
  status: RolloutStatus,
  attempt: Attempt | undefined,
  rolloutUid: string,
): boolean => {
  if (report === undefined || isSilent) return false;
  const { weight, mirror } = assignmentOf(status, rolloutUid, { key: name, labels });
  return (
    report.stableDigest === (status.stable?.digest ?? '') &&
    report.canaryDigest === (status.canary?.digest ?? '') &&
    report.weight === weight &&
    (report.mirror?.percentage ?? 0) === mirror &&
    (attempt === undefined || report.attempt >= attempt.attempt)
  );
};

/**
 * Percent of requests that the canary answered, over the runtimes that report this canary at this weight; undefined
 * without requests. Steady counts must not make writes: a former value stays until the share is a whole point away.
 */
const shareOf = (
  members: readonly Member[],
  { canary, weights }: RolloutStatus,
  attempt: Attempt | undefined,
  former: number | undefined,
): number | undefined => {
  if (canary === undefined || attempt === undefined) return undefined;
  let ofCanary = 0;
  let all = 0;
  for (const { report } of members) {
    if (report?.canaryDigest !== canary.digest || report.weight !== weights.canary) continue;
    ofCanary += report.served.canary;
    all += report.served.canary + report.served.stable;
  }
  if (all < 1) return undefined;
  const share = (100 * ofCanary) / all;
  if (former !== undefined && Math.abs(share - former) < 1) return former;
  return Math.min(100, Math.max(0, Math.round(share)));
};
