import { cut } from '../../api/condition.ts';
import { keyOf } from '../../api/references.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import type { Fleet } from '../../rollout/facts.ts';
import { assignmentIn } from '../../rollout/groups/assignment.ts';
import { sizeOf } from '../reconcile/runtime-sets.ts';
import { type Attempt, attemptOf, isHeld, isReady, isRefused } from './attempt.ts';
import { type SetAside, setAsideOf } from './set-aside.ts';
import { type ApartRuntimes, everybody, type Member, type RolloutView } from './view.ts';

/** What the runtimes make of a status that was decided: counts, and the share that the canary really answered. */
export const observe = (
  view: RolloutView,
  status: RolloutStatus,
  { desired, allowed, failures, names }: SetAside = setAsideOf(view, attemptOf(status, false)),
): Fleet => {
  const { apart, target, away, rollout } = view;
  const notReady = sizeOf(view.members) - sizeOf(desired);
  const attempt = attemptOf(status, false);
  const count = (holds: (member: Member) => boolean): number => sizeOf(desired.filter(holds));
  const observedCanary = shareOf(view, status, attempt, rollout.status?.weights.observedCanary);
  const cordoned = sizeOf(apart);
  return {
    runtimes: {
      desired: sizeOf(desired),
      updated: desired.reduce((sum, member) => sum + updatedOf(view, member, status, attempt), 0),
      ready: count((member) => isReady(member, target?.digest)),
      failed: target === undefined ? 0 : count((member) => isRefused(member, target, attempt)),
      held: count((member) => isHeld(member, attempt) || isStableHeld(member, status)),
      offline: sizeOf(away),
      ...(cordoned === 0 ? {} : { cordoned }),
      ...(names.size === 0 ? {} : { setAside: names.size }),
      ...(notReady === 0 ? {} : { notReady }),
    },
    ...(failures.length === 0 ? {} : { failures: { all: failures, allowed } }),
    ...(cordoned === 0 ? {} : { apart: servingOf(apart, status) }),
    ...(observedCanary === undefined ? {} : { observedCanary }),
  };
};

/** Runtimes that a status names. */
const maxApart = 10;

/** What the first runtimes serve that the rollout does not wait for. */
const servingOf = (
  apart: readonly ApartRuntimes[],
  { stable, canary, history }: RolloutStatus,
): NonNullable<Fleet['apart']> =>
  apart
    .flatMap(({ runtimes, restraint, report }) => {
      const digest = report?.stableDigest;
      const bound = [stable, canary, ...history].find((one) => one?.digest === digest);
      const serves = bound?.adapter ?? digest ?? '';
      return runtimes.keys().map((name) => ({ name, restraint, serves }));
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, maxApart)
    .map(({ name, restraint, serves }) => ({
      runtime: cut(name, 512),
      why: restraint,
      ...(serves === '' ? {} : { serves }),
    }));

/** Something else answers for stable there. */
const isStableHeld = ({ report }: Member, { stable }: RolloutStatus): boolean =>
  report?.holds.some(({ digest }) => digest === stable?.digest) === true;

/** How many of them follow the plan that this status amounts to. */
const updatedOf = (
  { kept, rollout }: RolloutView,
  { runtimes, report, isSilent }: Member,
  status: RolloutStatus,
  attempt: Attempt | undefined,
): number => {
  if (report === undefined || isSilent) return 0;
  const isOfPlan =
    report.stableDigest === (status.stable?.digest ?? '') &&
    report.canaryDigest === (status.canary?.digest ?? '') &&
    (attempt === undefined || report.attempt >= attempt.attempt);
  if (!isOfPlan) return 0;
  const parts =
    status.groups === undefined
      ? [{ group: undefined, isOpen: true, runtimes }]
      : kept.parted(runtimes, rollout.metadata.uid, status.groups);
  return sizeOf(
    parts.filter(({ group, isOpen }) => {
      const { weight, mirror } = assignmentIn(status, group, isOpen);
      return report.weight === weight && (report.mirrorPercentage ?? 0) === mirror;
    }),
  );
};

/**
 * Percent of requests that the canary answered, over the runtimes that report this canary at this weight; undefined
 * without requests. Steady counts must not make writes: a former value stays until the share is a whole point away.
 */
const shareOf = (
  view: RolloutView,
  { canary, weights }: RolloutStatus,
  attempt: Attempt | undefined,
  former: number | undefined,
): number | undefined => {
  if (canary === undefined || attempt === undefined) return undefined;
  const counting = everybody(view).filter(
    ({ report }) => report?.canaryDigest === canary.digest && report.weight === weights.canary,
  );
  const [ofStable, ofCanary] = view.kept.served(
    keyOf(view.rollout),
    counting.map(({ runtimes }) => runtimes),
  );
  const all = ofStable + ofCanary;
  if (all < 1n) return undefined;
  const share = (100 * Number(ofCanary)) / Number(all);
  if (former !== undefined && Math.abs(share - former) < 1) return former;
  return Math.min(100, Math.max(0, Math.round(share)));
};
