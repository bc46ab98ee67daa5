import { cut } from '../../api/condition.ts';
import type { BoundAdapter, RolloutFailure } from '../../api/rollout-status.ts';
import { mayFail, setAside } from '../../rollout/failures.ts';
import type { Outlier } from '../../rollout/judge/outliers.ts';
import type { Said } from '../reconcile/group.ts';
import type { RuntimeSet } from '../reconcile/presence.ts';
import { sizeOf } from '../reconcile/runtime-sets.ts';
import { type Attempt, guardOf, isFailed, isRefused } from './attempt.ts';
import type { Member, RolloutView } from './view.ts';

/** Characters of a message about one runtime. */
const maxQuoted = 300;

/** Which runtimes a rollout waits for and believes, and which it goes on without. */
export type SetAside = {
  /** How many runtimes count: connected ones that are ready to serve, or failed. */
  readonly size: number;
  /** So many of them may fail. */
  readonly allowed: number;
  readonly failures: readonly RolloutFailure[];
  /** Names of those that failed and that the rollout goes on without. */
  readonly names: ReadonlySet<string>;
  /** Members that should have the adapter; also those that are set aside. */
  readonly desired: readonly Member[];
};

/** Runtimes of which comparison says that they do not what the others do. */
type Suspects = {
  /** Names of those that do not have the adapter in time. */
  readonly overdue?: ReadonlySet<string>;
  readonly outliers?: readonly Outlier[];
};

/** Guards count wherever they trip, also on a runtime that nobody waits for; a refusal there is none. */
export const setAsideOf = (
  view: RolloutView,
  attempt: Attempt | undefined,
  { overdue = new Set(), outliers = [] }: Suspects = {},
): SetAside => {
  const { members, apart, target, rollout } = view;
  const desired = members.filter(
    (member) => member.isServing || member.isSilent || isFailed(member, target, attempt),
  );
  const tripped = apart.filter((member) => isFailed(member, undefined, attempt));
  const differ = new Map(outliers.map(({ node, message }) => [node, message]));
  const suspects = { names: new Set([...overdue, ...differ.keys()]), differ };
  const failuresIn = (groups: readonly Member[]): RolloutFailure[] =>
    groups
      .flatMap((member) => failuresAt(member, view, attempt, suspects))
      .sort((a, b) => (a.runtime < b.runtime ? -1 : 1));
  const failures = [...failuresIn(desired), ...failuresIn(tripped)];
  const size = sizeOf(desired) + sizeOf(tripped);
  const allowed = mayFail(rollout.spec.maxFailures, size);
  const names = new Set(setAside(failures, allowed).map(({ runtime }) => runtime));
  return { size, allowed, failures, names, desired };
};

type Named = {
  /** How the counts of a runtime contradict those of the others. */
  readonly differ: ReadonlyMap<string, string>;
  /** These, and those that are late. */
  readonly names: ReadonlySet<string>;
};

const failureOf = (reason: RolloutFailure['reason'], message: string) => (name: string) => ({
  runtime: cut(name, 512),
  reason,
  message: cut(message, maxQuoted),
});

const failuresOf = (runtimes: RuntimeSet, ...failure: Parameters<typeof failureOf>): RolloutFailure[] =>
  runtimes.keys().map(failureOf(...failure));

const failuresAt = (
  member: Member,
  { target, rollout }: RolloutView,
  attempt: Attempt | undefined,
  { differ, names }: Named,
): RolloutFailure[] => {
  const { report, target: state, runtimes } = member;
  if (target !== undefined && isRefused(member, target, attempt))
    return failuresOf(runtimes, 'Refused', `${state?.reason}: ${state?.message}`);
  const guard = attempt === undefined ? undefined : guardOf(member, attempt);
  if (guard !== undefined) return failuresOf(runtimes, 'GuardTripped', guard);
  const late = `not ready for ${rollout.spec.progressDeadline}: ${state?.state ?? 'it does not know it'}`;
  const named = runtimes
    .only(names)
    .keys()
    .map((name) => {
      const difference = differ.get(name);
      return difference === undefined
        ? failureOf('NotReadyInTime', late)(name)
        : failureOf('CountsDiffer', difference)(name);
    });
  const ofStable = stableGuardOf(report, rollout.status?.stable);
  return ofStable === undefined
    ? named
    : [...named, ...failuresOf(runtimes.without(names), 'StableFails', ofStable)];
};

/** Why the guard of a runtime holds stable back, if so. */
export const stableGuardOf = (
  report: Said | undefined,
  stable: BoundAdapter | undefined,
): string | undefined =>
  report?.holds.find(({ cause, digest }) => cause === 'Guard' && digest === stable?.digest)?.reason;
