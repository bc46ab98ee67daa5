import { conditionOf } from '../../api/condition.ts';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import type { BoundAdapter, RolloutStatus } from '../../api/rollout-status.ts';
import { type Placement, placementOf } from '../../rollout/placement.ts';
import { isHere } from '../fleet/adapter-at.ts';
import type { AdapterState, RolloutState } from '../fleet/fleet.ts';
import type { Objects, Read } from '../objects/objects.ts';
import type { Restraint } from '../objects/restraint.ts';
import type { Said } from '../reconcile/group.ts';
import { type Here, placesFor, sizesOf } from '../reconcile/places.ts';
import { isKeptOut, type PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import type { AlikeGroup, Presences, PresentRuntime, RuntimeSet } from '../reconcile/presence.ts';
import { firstOf, keysOf } from '../reconcile/runtime-sets.ts';
import { knownUnsigned, type SignatureVerdicts, whyNotSigned } from '../reconcile/signature-verdicts.ts';
import { inUseFinalizer } from '../reconcile/uses.ts';
import type { FactReason } from './reasons.ts';

/** An Adapter object as a rollout looks at it. */
export type AdapterView = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly digest: Digest | undefined;
  /** '' when its spec cannot be read. */
  readonly baseModel: string;
  /** Builds of the base model that it is made for; undefined: all. */
  readonly builds: readonly Digest[] | undefined;
  /** By its policy or for want of a signature: nothing goes back to it. */
  readonly isBarred: boolean;
  /** Why there is no digest. */
  readonly missing: { readonly reason: FactReason; readonly message: string };
  /** May be bound: the finalizer keeps it, or the status has bound it before. */
  readonly isKept: boolean;
  readonly isDeleting: boolean;
};

/** Runtimes that are alike, that the rollout applies to and that are connected, or expected back. */
export type Member = {
  /** One at least. */
  readonly runtimes: RuntimeSet;
  /** They can answer requests. */
  readonly isServing: boolean;
  /** Expected to report, see Presence. */
  readonly isSilent: boolean;
  /** What they say of this very Adapter object; absent while they do not know it. */
  readonly target: AdapterState | undefined;
  readonly stable: AdapterState | undefined;
  /** What they say of this very rollout, but for what each of them counted. */
  readonly report: Said | undefined;
};

/** Runtimes that the rollout applies to and does not wait for: they are cordoned or held, and do not have its adapter. */
export type ApartRuntimes = Member & { readonly restraint: Restraint };

/** Runtimes of nodes that the rollout applies to and that are not connected. */
export type AwayRuntimes = Pick<Member, 'runtimes'>;

export type Kept = Pick<Presences, 'unread' | 'served' | 'parted' | 'gone'>;

/** Everything that a decision about one rollout looks at. */
export type RolloutView = {
  /** With the status as decisions know it. */
  readonly rollout: RolloutObject;
  /** The status as it is written. */
  readonly written: RolloutStatus | undefined;
  /** What spec.adapter names; absent while there is no such object. */
  readonly target: AdapterView | undefined;
  /** What status.stable is bound to; absent when the object is gone. */
  readonly stable: AdapterView | undefined;
  readonly members: readonly Member[];
  readonly apart: readonly ApartRuntimes[];
  readonly away: readonly AwayRuntimes[];
  readonly nameConflict: string | undefined;
  /** What is kept of some of them, so that nobody has to look at each. */
  readonly kept: Kept;
  /** Why a former stable would not serve; undefined: it would, as far as is known. */
  readonly whyNotBack: (former: BoundAdapter) => string | undefined;
  /** Whether runtimes can hold the target; undefined while it is not known what that is. */
  readonly placement: Placement | undefined;
  /** Milliseconds until silent runtimes count as away; absent when none is silent. */
  readonly changesInMs?: number | undefined;
};

/** Runtimes whose reports count, also those that nobody waits for: what they see of a canary is true all the same. */
export const everybody = ({ members, apart }: Pick<RolloutView, 'members' | 'apart'>): readonly Member[] =>
  apart.length === 0 ? members : [...members, ...apart];

/** Without the runtimes of these names. */
export const without = <M extends Pick<Member, 'runtimes'>>(
  members: readonly M[],
  names: ReadonlySet<string>,
): readonly M[] =>
  names.size === 0
    ? members
    : members
        .map((member) => ({ ...member, runtimes: member.runtimes.without(names) }))
        .filter(({ runtimes }) => runtimes.size > 0);

/** Those that are waited for first, and each part in the order of names. Takes a look at each that is found. */
export const foundIn = (
  { members, apart }: Pick<RolloutView, 'members' | 'apart'>,
  holds: (member: Member) => boolean,
): { readonly names: readonly string[]; readonly first: Member | undefined } => {
  const [awaited, others] = [members.filter(holds), apart.filter(holds)];
  const first = firstOf(awaited) ?? firstOf(others);
  return { names: [...keysOf(awaited), ...keysOf(others)], first: first?.group };
};

/** Runtimes one by one, with what they say of the rollout, in the order of their names. */
export const eachOf = (members: readonly Pick<Member, 'runtimes'>[]): readonly PresentRuntime[] => {
  const all = members.flatMap(({ runtimes }) => runtimes.each());
  return members.length < 2 ? all : all.sort((a, b) => (a.key < b.key ? -1 : 1));
};

/** What a runtime says of the very rollout, with what it counted. */
export const reportAt = (
  { state }: PresentRuntime,
  { metadata }: RolloutObject,
): RolloutState | undefined => {
  const report = state?.rollouts.get(objectKey(metadata.namespace, metadata.name));
  return report?.uid === metadata.uid ? report : undefined;
};

/** The condition that the operator adds to those of a decision. */
export const acceptedType = 'Accepted';

export type ViewInput = {
  readonly rollout: RolloutObject;
  readonly objects: Pick<Objects, 'adapters'>;
  readonly presences: Pick<Presences, 'groups'> & Kept;
  readonly nameConflict: string | undefined;
  readonly verdicts: Pick<PolicyVerdicts, 'of'>;
  readonly signatures: Pick<SignatureVerdicts, 'of'>;
};

/** Reads the caches for one decision. Costs what there are of runtimes that differ, not how many there are. */
export const viewOf = (input: ViewInput): RolloutView => {
  const { rollout, presences, nameConflict } = input;
  const { uid, namespace } = rollout.metadata;
  const { status, spec } = rollout;
  const target = viewOfAdapter(input, spec.adapter);
  const stable = stableOf(input);
  const baseModel = target?.baseModel || stable?.baseModel || undefined;
  const adapters = [target, stable].filter((one) => one !== undefined);
  const { groups, changesInMs } = presences.groups(namespace, {
    selectors: [spec.runtimeSelector],
    adapters,
    rollouts: [{ key: keyOf(rollout), uid }],
  });
  const stateOf =
    (adapter: AdapterView | undefined): Here =>
    (group) =>
      adapter && group.adapters[adapters.indexOf(adapter)];
  const members: Member[] = [];
  const apart: ApartRuntimes[] = [];
  const away: AwayRuntimes[] = [];
  for (const group of groups) {
    const { presence, profile, runtimes } = group;
    if (!isSelected(group)) continue;
    const [report] = group.reports;
    // Both objects are gone: the runtimes that still serve stable are those that it applies to.
    const applies =
      baseModel === undefined
        ? status?.stable !== undefined && report?.stableDigest === status.stable.digest
        : profile.baseModel === baseModel;
    if (!applies) continue;
    if (presence === 'Away') {
      // Pods come and go, and a new one gets what is decided by then: nobody waits for one that is away.
      if (profile.scope === undefined) away.push({ runtimes });
      continue;
    }
    const member: Member = {
      runtimes,
      isServing: profile.isServing,
      isSilent: presence === 'Silent',
      target: stateOf(target)(group),
      stable: stateOf(stable)(group),
      report,
    };
    const { restraint } = profile;
    if (restraint === undefined || (restraint === 'Cordoned' && isHere(member.target))) members.push(member);
    else apart.push({ ...member, restraint });
  }
  return {
    rollout: asDecided(rollout),
    written: status,
    target,
    stable,
    members,
    apart,
    away,
    nameConflict,
    kept: presences,
    whyNotBack: (former) => whyNotBack(input, former),
    placement: target && placementAt(rollout, groups, [target, stateOf(target)], [stable, stateOf(stable)]),
    changesInMs,
  };
};

const isSelected = ({ selected: [is = true] }: AlikeGroup): boolean => is;

const placementAt = (
  { spec }: RolloutObject,
  groups: readonly AlikeGroup[],
  [target, targetAt]: readonly [AdapterView, Here],
  [stable, stableAt]: readonly [AdapterView | undefined, Here],
): Placement | undefined => {
  const { baseModel, builds } = target;
  if (baseModel === '') return undefined;
  const isOther = stable !== undefined && stable.uid !== target.uid;
  const besideBytes = isOther ? sizesOf(groups, stableAt).memoryBytes : 0;
  const selector = spec.runtimeSelector;
  const placed = { baseModel, builds, selector, besideBytes, ...sizesOf(groups, targetAt) };
  return placementOf(placed, placesFor(groups, targetAt, isSelected));
};

/** The rollout with its status as it was decided, without what the operator adds: then a decision sees that nothing is new. */
const asDecided = ({ status, ...rollout }: RolloutObject): RolloutObject => {
  if (status === undefined) return rollout;
  const { columns: _, ...decided } = status;
  const conditions = status.conditions.filter(({ type }) => type !== acceptedType);
  return { ...rollout, status: { ...decided, conditions } };
};

const stableOf = (input: ViewInput): AdapterView | undefined => {
  const bound = input.rollout.status?.stable;
  if (bound === undefined) return undefined;
  const view = viewOfAdapter(input, bound.adapter);
  return view?.uid === bound.uid ? view : undefined;
};

const viewOfAdapter = (
  { rollout: { metadata: of, status }, objects, verdicts, signatures }: ViewInput,
  name: string,
): AdapterView | undefined => {
  const read = objects.adapters.get(objectKey(of.namespace, name));
  if (read === undefined) return undefined;
  const { metadata, object } = read;
  const bound = [status?.stable, status?.canary, ...(status?.history ?? [])].find(
    (known) => known?.uid === metadata.uid,
  );
  const verdict = object && verdicts.of(object);
  const isForbidden = isKeptOut(verdict);
  const unsigned = object && verdict === undefined ? whyNotSigned(signatures.of(object)) : undefined;
  // What was bound once may be served no more, and no rollout goes back to it.
  const isFormer =
    bound !== undefined && bound.uid !== status?.stable?.uid && bound.uid !== status?.canary?.uid;
  const digest = object?.spec.digest ?? object?.status?.digest;
  return {
    key: read.key,
    uid: metadata.uid,
    // What no plan has is not bound.
    digest:
      (verdict === undefined && unsigned === undefined ? digest : undefined) ??
      ((isForbidden || unsigned !== undefined) && isFormer ? undefined : bound?.digest),
    baseModel: object?.spec.baseModel ?? '',
    builds: object?.spec.baseModelDigests,
    isBarred: isForbidden || unsigned !== undefined,
    missing: missingOf(read, verdict?.message, unsigned),
    isKept: bound !== undefined || metadata.finalizers?.includes(inUseFinalizer) === true,
    isDeleting: metadata.deletionTimestamp !== undefined,
  };
};

/** Nobody in a hurry waits for a registry: what is not known yet is no reason, and nodes look for themselves. */
const whyNotBack = (
  { rollout: { metadata: of }, objects, verdicts, signatures }: ViewInput,
  { adapter, uid }: BoundAdapter,
): string | undefined => {
  const object = objects.adapters.get(objectKey(of.namespace, adapter))?.object;
  if (object?.metadata.uid !== uid) return undefined;
  const verdict = verdicts.of(object);
  if (isKeptOut(verdict)) return verdict.message;
  return verdict === undefined ? knownUnsigned(signatures.of(object)) : undefined;
};

const missingOf = (
  read: Read<AdapterObject>,
  refusal: string | undefined,
  unsigned: string | undefined,
): AdapterView['missing'] => {
  if (refusal !== undefined) return { reason: 'NotAllowed', message: refusal };
  return unsigned === undefined ? whyMissing(read) : { reason: 'NotSigned', message: unsigned };
};

const whyMissing = ({ object, problems }: Read<AdapterObject>): AdapterView['missing'] => {
  if (object === undefined) {
    return { reason: 'InvalidSpec', message: problems.map(({ reason }) => reason).join('; ') };
  }
  const resolved = conditionOf(object.status?.conditions, 'Resolved');
  return { reason: 'NotResolved', message: resolved?.status === 'True' ? '' : (resolved?.message ?? '') };
};
