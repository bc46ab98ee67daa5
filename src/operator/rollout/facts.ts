import { cut, joinCapped } from '../../api/condition.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { addCopyCounts, type CopyCounts, noCopyCounts } from '../../rollout/copies.ts';
import type { AdapterFact, Facts, Held } from '../../rollout/facts.ts';
import type { Placement } from '../../rollout/placement.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { FactReason } from './reasons.ts';
import type { AdapterView, Member, RolloutView } from './view.ts';

/** Runtimes that a message names, and the characters that it quotes of each. */
const maxNamed = 3;
const maxQuoted = 200;

/** The canary of a status, and the attempt that counts. */
export type Attempt = { readonly uid: string; readonly digest: string; readonly attempt: number };

/**
 * The canary whose reports count. A `retry` that is being answered begins the next attempt: what the runtimes reported of
 * the one before says nothing about it.
 */
export const attemptOf = (status: RolloutStatus | undefined, retrying: boolean): Attempt | undefined => {
  if (status?.canary === undefined) return undefined;
  const { uid, digest, attempt } = status.canary;
  return { uid, digest, attempt: attempt + (retrying ? 1 : 0) };
};

/** True when the runtime acts by this attempt of this canary. */
export const follows = ({ report }: Member, { digest, attempt }: Attempt): boolean =>
  report !== undefined && report.canaryDigest === digest && report.attempt >= attempt;

/** Same content: a failure may come before the runtime knows the digest, which the uid fixes. */
const isOf = (state: AdapterState, digest: string | undefined): boolean =>
  digest !== undefined && (state.digest === digest || (state.digest === '' && state.state === 'Failed'));

export const isResident = ({ target, isSilent }: Member, digest: string | undefined): boolean =>
  target?.state === 'Resident' && !isSilent && isOf(target, digest);

/** Refused for good, in the attempt that counts. */
export const isRefused = (member: Member, adapter: AdapterView, attempt: Attempt | undefined): boolean => {
  const { target } = member;
  if (target?.state !== 'Failed' || !target.isFinal || !isOf(target, adapter.digest)) return false;
  const isCanary = attempt?.uid === adapter.uid && attempt.digest === adapter.digest;
  return !isCanary || follows(member, attempt);
};

/** Holds back the canary of this attempt. One from a later attempt is of a former life of the canary, and in force. */
const holdsOf = (member: Member, attempt: Attempt) =>
  follows(member, attempt)
    ? (member.report?.holds ?? []).filter((h) => h.digest === attempt.digest && h.attempt >= attempt.attempt)
    : [];

/** Why the guard of the runtime holds the canary back, if so. */
export const guardOf = (member: Member, attempt: Attempt): string | undefined =>
  holdsOf(member, attempt).find(({ cause }) => cause === 'Guard')?.reason;

export const isHeld = (member: Member, attempt: Attempt | undefined): boolean =>
  attempt !== undefined && holdsOf(member, attempt).length > 0;

/**
 * The facts over all runtimes that a rollout is decided with. A guard that tripped anywhere counts; what somebody rolled
 * back by hand on one node is that node's business.
 */
export const factsOf = (view: RolloutView, attempt: Attempt | undefined): Facts => {
  const { target, stable } = view;
  const all = everybody(view);
  return {
    target: target === undefined ? undefined : targetFact(view, target, attempt),
    stable: stable === undefined || stable.uid === target?.uid ? undefined : stableFact(view, stable),
    held: attempt === undefined ? [] : guardsOf(all, attempt),
    stableFails: stableFailsOf(view),
    mirrored: attempt === undefined ? undefined : mirroredOf(all, attempt),
    nameConflict: view.nameConflict,
    placement: view.placement ?? unknownPlacement(view),
  };
};

/** Without an Adapter that can be read nobody knows what is to be placed. */
const unknownPlacement = ({ rollout }: RolloutView): Placement => ({
  status: 'Unknown',
  reason: 'AdapterUnknown',
  message: `the Adapter ${rollout.spec.adapter} does not exist, or is not valid`,
});

/** Runtimes whose reports count, also those that nobody waits for: what they see of a canary is true all the same. */
export const everybody = ({ members, apart }: Pick<RolloutView, 'members' | 'apart'>): readonly Member[] =>
  apart.length === 0 ? members : [...members, ...apart];

/** What somebody rolled back by hand on one node is that node's business here as well. */
const stableFailsOf = (view: RolloutView): string | undefined => {
  const stable = view.rollout.status?.stable;
  const failing = everybody(view).flatMap(({ name, report }) => {
    const hold = report?.holds.find(({ cause, digest }) => cause === 'Guard' && digest === stable?.digest);
    return hold === undefined ? [] : [{ name, reason: hold.reason }];
  });
  const [first] = failing;
  if (first === undefined) return undefined;
  const where = joinCapped(
    failing.map(({ name }) => name),
    maxNamed,
  );
  return `${stable?.adapter} fails on ${where}: ${cut(first.reason, 1000)}`;
};

/** Over all runtimes that report this attempt of the canary; undefined when none was given copies. */
const mirroredOf = (members: readonly Member[], attempt: Attempt): CopyCounts | undefined => {
  const all = members.flatMap((member) =>
    follows(member, attempt) && member.report?.mirror !== undefined ? [member.report.mirror] : [],
  );
  return all.length === 0 ? undefined : all.reduce(addCopyCounts, noCopyCounts);
};

const guardsOf = (members: readonly Member[], attempt: Attempt): Held[] => {
  const tripped = members.flatMap((member) => {
    const guard = holdsOf(member, attempt).find(({ cause }) => cause === 'Guard');
    return guard === undefined ? [] : [{ name: member.name, ...guard }];
  });
  const [first] = tripped;
  if (first === undefined) return [];
  const where = joinCapped(
    tripped.map(({ name }) => name),
    maxNamed,
  );
  const { digest } = first;
  return [
    { digest, attempt: first.attempt, reason: `the guard tripped on ${where}: ${cut(first.reason, 1000)}` },
  ];
};

const targetFact = (view: RolloutView, adapter: AdapterView, attempt: Attempt | undefined): AdapterFact => {
  const base = {
    uid: adapter.uid,
    digest: adapter.digest,
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
  const connected = view.members.length;
  if (connected === 0)
    return { ...pending('NoRuntime', noRuntime(view, adapter)), runtimes: { ready: 0, connected } };

  const refused = view.members.filter((member) => isRefused(member, adapter, attempt));
  const [first] = refused;
  if (first?.target !== undefined) {
    const where = joinCapped(
      refused.map(({ name }) => name),
      maxNamed,
    );
    const { reason, message } = first.target;
    return { ...base, state: 'Failed', reason, message: `on ${where}: ${cut(message, 2000)}` };
  }
  const missing = view.members.filter((member) => !isResident(member, adapter.digest));
  const runtimes = { ready: connected - missing.length, connected };
  if (missing.length === 0) return { ...base, state: 'Resident', reason: '', message: '', runtimes };
  return { ...pending('RuntimesNotReady', notReady(connected, missing)), runtimes };
};

const whyNotKept = (adapter: AdapterView): [FactReason, string] =>
  adapter.isDeleting
    ? ['Deleting', `Adapter ${adapter.key} is being deleted`]
    : ['NotProtected', 'its finalizer adaptlet.io/in-use is not there yet'];

const noRuntime = (
  { rollout, apart, away: { length: offline } }: RolloutView,
  { baseModel }: AdapterView,
): string => {
  const labels = Object.entries(rollout.spec.runtimeSelector?.matchLabels ?? {}).map(([k, v]) => `${k}=${v}`);
  const which = labels.length === 0 ? '' : ` and the labels ${labels.join(', ')}`;
  const away = offline === 0 ? '' : `; ${offline} known but not connected`;
  const restrained = apart.length === 0 ? '' : `; ${apart.length} cordoned or held`;
  const that = apart.length === 0 ? 'is connected' : 'is connected and takes new adapters';
  return `no runtime with the base model ${baseModel}${which} ${that}${restrained}${away}`;
};

const notReady = (all: number, missing: readonly Member[]): string => {
  const named = missing.map(({ name, target, isSilent }) => {
    if (isSilent) return `${name} (has not reported yet)`;
    if (target === undefined) return `${name} (does not know it yet)`;
    if (target.state !== 'Failed') return `${name} (${target.state})`;
    return `${name} (${cut([target.reason, target.message].filter((part) => part !== '').join(': '), maxQuoted)})`;
  });
  return `${all - missing.length} of ${all} runtimes are ready; not ${joinCapped(named, maxNamed)}`;
};

/** Of stable, where it is another one: it serves where it is Resident, whatever the rest of the fleet does. */
const stableFact = (view: RolloutView, adapter: AdapterView): AdapterFact => {
  const states = everybody(view).flatMap(({ stable }) => (stable === undefined ? [] : [stable]));
  const failed = states.find(({ state, isFinal }) => state === 'Failed' && isFinal);
  const isAnywhere = states.some(({ state }) => state === 'Resident');
  return {
    uid: adapter.uid,
    digest: adapter.digest,
    baseModel: adapter.baseModel,
    state: isAnywhere ? 'Resident' : failed === undefined ? 'Pending' : 'Failed',
    reason: isAnywhere ? '' : (failed?.reason ?? ''),
    message: isAnywhere ? '' : (failed?.message ?? ''),
  };
};
