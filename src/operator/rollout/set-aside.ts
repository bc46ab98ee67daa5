import { cut } from '../../api/condition.ts';
import type { BoundAdapter, RolloutFailure } from '../../api/rollout-status.ts';
import { mayFail, setAside } from '../../rollout/failures.ts';
import type { Outlier } from '../../rollout/judge/outliers.ts';
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
  const failures = [...desired, ...tripped].flatMap((member): RolloutFailure[] => {
    const [reason, message] = why(member, view, attempt, { overdue, differ }) ?? [];
    if (reason === undefined || message === undefined) return [];
    return [{ runtime: cut(member.name, 512), reason, message: cut(message, maxQuoted) }];
  });
  const size = desired.length + tripped.length;
  const allowed = mayFail(rollout.spec.maxFailures, size);
  const names = new Set(setAside(failures, allowed).map(({ runtime }) => runtime));
  return { size, allowed, failures, names, desired };
};

const why = (
  member: Member,
  { target, rollout }: RolloutView,
  attempt: Attempt | undefined,
  {
    overdue,
    differ,
  }: { readonly overdue: ReadonlySet<string>; readonly differ: ReadonlyMap<string, string> },
): readonly [RolloutFailure['reason'], string] | undefined => {
  const { name, report, target: state } = member;
  if (target !== undefined && isRefused(member, target, attempt))
    return ['Refused', `${state?.reason}: ${state?.message}`];
  const guard = attempt === undefined ? undefined : guardOf(member, attempt);
  if (guard !== undefined) return ['GuardTripped', guard];
  const difference = differ.get(name);
  if (difference !== undefined) return ['CountsDiffer', difference];
  if (overdue.has(name))
    return [
      'NotReadyInTime',
      `not ready for ${rollout.spec.progressDeadline}: ${state?.state ?? 'it does not know it'}`,
    ];
  const ofStable = stableGuardOf(report, rollout.status?.stable);
  return ofStable === undefined ? undefined : ['StableFails', ofStable];
};

/** Why the guard of a runtime holds stable back, if so. */
export const stableGuardOf = (
  report: Member['report'],
  stable: BoundAdapter | undefined,
): string | undefined =>
  report?.holds.find(({ cause, digest }) => cause === 'Guard' && digest === stable?.digest)?.reason;
