import { cut, joinCapped } from '../../api/condition.ts';
import { addCopyCounts, type CopyCounts, noCopyCounts } from '../../rollout/copies.ts';
import type { AdapterFact, Facts, Held } from '../../rollout/facts.ts';
import { assignmentIn } from '../../rollout/groups/assignment.ts';
import type { Placement } from '../../rollout/placement.ts';
import { canServe } from '../fleet/adapter-at.ts';
import { firstOf, keysOf, sizeOf } from '../reconcile/runtime-sets.ts';
import { type Attempt, follows, holdsOf, isReady, isRefused } from './attempt.ts';
import type { FactReason } from './reasons.ts';
import { type SetAside, setAsideOf, stableGuardOf } from './set-aside.ts';
import {
  type AdapterView,
  eachOf,
  everybody,
  foundIn,
  type Member,
  type RolloutView,
  reportAt,
  without,
} from './view.ts';

/** Runtimes that a message names, and the characters that it quotes of each. */
const maxNamed = 3;
const maxQuoted = 200;

/**
 * The facts over all runtimes that a rollout is decided with. A guard that tripped anywhere counts, unless its runtime is
 * set aside; what somebody rolled back by hand on one node is that node's business.
 */
export const factsOf = (
  view: RolloutView,
  attempt: Attempt | undefined,
  aside: SetAside = setAsideOf(view, attempt),
): Facts => {
  const { target, stable } = view;
  const believed = {
    members: without(view.members, aside.names),
    apart: without(view.apart, aside.names),
  };
  const mirrored = attempt === undefined ? [] : mirroredOf(view, attempt);
  return {
    target: target === undefined ? undefined : targetFact(view, target, attempt, aside),
    stable: stable === undefined || stable.uid === target?.uid ? undefined : stableFact(view, stable),
    whyNotBack: view.whyNotBack,
    held: attempt === undefined ? [] : guardsOf(believed, attempt),
    stableFails: stableFailsOf(view, aside.allowed),
    mirrored: mirrored.length === 0 ? undefined : mirrored.reduce(addCopyCounts, noCopyCounts),
    mirroredBy: mirrored,
    fleetSize: judgesOf(view, aside),
    nameConflict: view.nameConflict,
    placement: view.placement ?? unknownPlacement(view),
  };
};

/** Runtimes that may have counted something: in groups, those that have the canary. A pilot of one is there to judge it. */
const judgesOf = ({ rollout, kept }: RolloutView, { size, desired }: SetAside): number => {
  const { status, metadata } = rollout;
  const { groups } = status ?? {};
  if (status === undefined || groups === undefined) return size;
  const parts = desired.flatMap(({ runtimes }) => kept.parted(runtimes, metadata.uid, groups));
  return sizeOf(parts.filter(({ group, isOpen }) => assignmentIn(status, group, isOpen).isLoaded));
};

/** Without an Adapter that can be read nobody knows what is to be placed. */
const unknownPlacement = ({ rollout }: RolloutView): Placement => ({
  status: 'Unknown',
  reason: 'AdapterUnknown',
  message: `the Adapter ${rollout.spec.adapter} does not exist, or is not valid`,
});

/** What somebody rolled back by hand on one node is that node's business here as well. */
const stableFailsOf = (view: RolloutView, allowed: number): string | undefined => {
  const stable = view.rollout.status?.stable;
  const { names, first } = foundIn(view, ({ report }) => stableGuardOf(report, stable) !== undefined);
  const reason = stableGuardOf(first?.report, stable);
  if (reason === undefined || names.length <= allowed) return undefined;
  return `${stable?.adapter} fails on ${joinCapped(names, maxNamed)}: ${cut(reason, 1000)}`;
};

/** Of all runtimes that report this attempt of the canary and were given copies. */
const mirroredOf = ({ members, apart, rollout }: RolloutView, attempt: Attempt): readonly CopyCounts[] =>
  [members, apart].flatMap((some) => {
    const given = some.filter(
      (member) => follows(member, attempt) && member.report?.mirrorPercentage !== undefined,
    );
    return eachOf(given).flatMap((runtime) => reportAt(runtime, rollout)?.mirror ?? []);
  });

const guardsOf = (believed: Pick<RolloutView, 'members' | 'apart'>, attempt: Attempt): Held[] => {
  const holdOf = (member: Member) => holdsOf(member, attempt).find(({ cause }) => cause === 'Guard');
  const { names, first } = foundIn(believed, (member) => holdOf(member) !== undefined);
  const hold = first && holdOf(first);
  if (hold === undefined) return [];
  const where = joinCapped(names, maxNamed);
  return [
    {
      digest: hold.digest,
      attempt: hold.attempt,
      reason: `the guard tripped on ${where}: ${cut(hold.reason, 1000)}`,
    },
  ];
};

const targetFact = (
  view: RolloutView,
  adapter: AdapterView,
  attempt: Attempt | undefined,
  { desired, names }: SetAside,
): AdapterFact => {
  const base = {
    uid: adapter.uid,
    digest: adapter.digest,
    ...(adapter.isBarred ? { isBarred: true } : {}),
    // An Adapter that cannot be read does not say: nothing is decided from that.
    baseModel: adapter.baseModel || view.stable?.baseModel || '',
  };
  const pending = (reason: FactReason, message: string, digest = base.digest): AdapterFact => ({
    ...base,
    digest,
    state: 'Pending',
    reason,
    message: cut(message),
  });
  if (!adapter.isKept) return { ...pending(...whyNotKept(adapter)), digest: undefined };
  if (adapter.digest === undefined) return pending(adapter.missing.reason, adapter.missing.message);
  if (view.nameConflict !== undefined) return pending('NameConflict', view.nameConflict);
  const awaited = without(desired, names);
  const connected = sizeOf(awaited);
  if (connected === 0)
    return { ...pending('NoRuntime', noRuntime(view, adapter)), runtimes: { ready: 0, connected } };

  const refused = awaited.filter((member) => isRefused(member, adapter, attempt));
  const first = firstOf(refused)?.group;
  if (first?.target !== undefined) {
    const where = joinCapped(keysOf(refused), maxNamed);
    const { reason, message } = first.target;
    return { ...base, state: 'Failed', reason, message: `on ${where}: ${cut(message, 2000)}` };
  }
  const missing = awaited.filter((member) => !isReady(member, adapter.digest));
  const runtimes = { ready: connected - sizeOf(missing), connected };
  if (missing.length === 0) return { ...base, state: 'Resident', reason: '', message: '', runtimes };
  return { ...pending('RuntimesNotReady', notReady(connected, missing)), runtimes };
};

const whyNotKept = (adapter: AdapterView): [FactReason, string] =>
  adapter.isDeleting
    ? ['Deleting', `Adapter ${adapter.key} is being deleted`]
    : ['NotProtected', 'its finalizer adaptlet.io/in-use is not there yet'];

const noRuntime = ({ rollout, members, ...view }: RolloutView, { baseModel }: AdapterView): string => {
  const [offline, apart, here] = [sizeOf(view.away), sizeOf(view.apart), sizeOf(members)];
  const labels = Object.entries(rollout.spec.runtimeSelector?.matchLabels ?? {}).map(([k, v]) => `${k}=${v}`);
  const which = labels.length === 0 ? '' : ` and the labels ${labels.join(', ')}`;
  const away = offline === 0 ? '' : `; ${offline} known but not connected`;
  const restrained = apart === 0 ? '' : `; ${apart} cordoned or held`;
  const that = apart === 0 ? 'is connected' : 'is connected and takes new adapters';
  // Nobody is counted: those that are here are not ready.
  const unready = here === 0 ? '' : `; ${here} connected, but not ready to serve`;
  return `no runtime with the base model ${baseModel}${which} ${that}${unready}${restrained}${away}`;
};

const whyNot = ({ target, isSilent }: Member): string => {
  if (isSilent) return 'has not reported yet';
  if (target === undefined) return 'does not know it yet';
  if (target.state !== 'Failed') return target.state;
  return cut([target.reason, target.message].filter((part) => part !== '').join(': '), maxQuoted);
};

const notReady = (all: number, missing: readonly Member[]): string => {
  const named = missing
    .flatMap((member) => member.runtimes.keys().map((name) => ({ name, member })))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, member }, index) => (index < maxNamed ? `${name} (${whyNot(member)})` : name));
  return `${all - named.length} of ${all} runtimes are ready; not ${joinCapped(named, maxNamed)}`;
};

/** Of stable, where it is another one: it serves where it is Resident, whatever the rest of the fleet does. */
const stableFact = (view: RolloutView, adapter: AdapterView): AdapterFact => {
  const isAnywhere = everybody(view).some(({ stable }) => canServe(stable));
  const failed = isAnywhere
    ? undefined
    : foundIn(view, ({ stable }) => stable?.state === 'Failed' && stable.isFinal).first?.stable;
  return {
    uid: adapter.uid,
    digest: adapter.digest,
    baseModel: adapter.baseModel,
    state: isAnywhere ? 'Resident' : failed === undefined ? 'Pending' : 'Failed',
    reason: failed?.reason ?? '',
    message: failed?.message ?? '',
  };
};
