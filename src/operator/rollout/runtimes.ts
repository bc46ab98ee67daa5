import { cut } from '../../api/condition.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { RuntimeFact } from '../../rollout/facts.ts';
import { alone } from '../../rollout/groups/alone.ts';
import { groupPointOf } from '../../rollout/groups/membership.ts';
import type { RuntimeSet } from '../reconcile/presence.ts';
import { type Attempt, follows, guardOf, isHeld, isReady, isRefused } from './attempt.ts';
import type { AdapterView, Member, RolloutView } from './view.ts';

/** Characters that a message quotes of one runtime. */
const maxQuoted = 300;

/**
 * Every runtime that the rollout applies to and waits for, for its groups; none where it has no groups. Those that went since
 * the first group began are looked at one by one: each is given up at a time of its own.
 */
export const runtimesOf = (view: RolloutView, attempt: Attempt | undefined): readonly RuntimeFact[] => {
  const { rollout, members, target } = view;
  if (rollout.spec.groups === undefined || target === undefined) return [];
  const away = { isConnected: false, isServing: false, canary: 'Pending', why: 'not connected' } as const;
  const { lately, before } = view.kept.gone(
    view.away.map(({ runtimes }) => runtimes),
    firstBeginning(rollout),
  );
  return [
    ...members.map((member) =>
      together(view, member.runtimes, {
        isConnected: true,
        isServing: member.isServing && !member.isSilent,
        ...stateOf(member, target, attempt),
      }),
    ),
    ...lately.map(({ key, labels, awaySince }) =>
      alone(rollout.metadata.uid, { ...away, key, labels, awaySince }),
    ),
    ...(before.size === 0 ? [] : [together(view, before, away)]),
  ];
};

const together = (
  view: RolloutView,
  runtimes: RuntimeSet,
  fact: Pick<RuntimeFact, 'isConnected' | 'isServing' | 'canary' | 'why' | 'weight'>,
): RuntimeFact => {
  const { uid } = view.rollout.metadata;
  return {
    ...fact,
    size: runtimes.size,
    names: () => runtimes.keys(),
    candidates: () => runtimes.each().map(({ key, labels }) => ({ point: groupPointOf(uid, key), labels })),
    parted: (groups) =>
      view.kept
        .parted(runtimes, uid, groups)
        .map((part) => ({ ...part, runtimes: together(view, part.runtimes, fact) })),
  };
};

/** Wall time in milliseconds when the first of its groups began: who went before is lost to none of them. */
const firstBeginning = ({ status }: RolloutObject): number =>
  Math.min(
    ...(status?.groups ?? [])
      .map(({ startedAt = '' }) => Date.parse(startedAt))
      .filter((at) => !Number.isNaN(at)),
  );

const stateOf = (
  member: Member,
  target: AdapterView,
  attempt: Attempt | undefined,
): Pick<RuntimeFact, 'canary' | 'why' | 'weight'> => {
  // What it says of another canary, which the target replaces with this decision, is not about the target.
  const own = attempt?.digest === target.digest && attempt?.uid === target.uid ? attempt : undefined;
  const isCurrent = own !== undefined && follows(member, own);
  const weight = isCurrent ? member.report?.weight : undefined;
  if (isRefused(member, target, own)) {
    const { reason = '', message = '' } = member.target ?? {};
    return { canary: 'Failed', why: cut(`${reason}: ${message}`, maxQuoted) };
  }
  const guard = own === undefined ? undefined : guardOf(member, own);
  if (guard !== undefined) return { canary: 'Failed', why: cut(`the guard tripped: ${guard}`, maxQuoted) };
  if (isHeld(member, own)) return { canary: 'Held', why: 'held by hand' };
  if (isCurrent && isReady(member, target.digest)) return { canary: 'Ready', why: '', weight };
  return { canary: 'Pending', why: whyPending(member), weight };
};

const whyPending = ({ target, isSilent }: Member): string => {
  if (isSilent) return 'has not reported yet';
  return target === undefined ? 'does not know it yet' : target.state;
};
