import { conditionOf } from '../../api/condition.ts';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { selects } from '../../api/selector.ts';
import { type Placement, placementOf } from '../../rollout/placement.ts';
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import type { AdapterState, RolloutState } from '../fleet/fleet.ts';
import type { Objects, Read } from '../objects/objects.ts';
import type { Restraint } from '../objects/restraint.ts';
import { placesFor, sizesOf } from '../reconcile/places.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import type { PresentRuntime } from '../reconcile/presence.ts';
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
  /** Why there is no digest. */
  readonly missing: { readonly reason: FactReason; readonly message: string };
  /** May be bound: the finalizer keeps it, or the status has bound it before. */
  readonly isKept: boolean;
  readonly isDeleting: boolean;
};

/** A runtime that the rollout applies to and that is connected, or expected back. */
export type Member = {
  readonly name: string;
  readonly labels: PresentRuntime['labels'];
  /** It can answer requests. */
  readonly isServing: boolean;
  /** Of its process; another one counts from 0 again. */
  readonly instance: string;
  /** Expected to report, see Presence. */
  readonly isSilent: boolean;
  /** What it says of this very Adapter object; absent while it does not know it. */
  readonly target: AdapterState | undefined;
  readonly stable: AdapterState | undefined;
  /** What it says of this very rollout. */
  readonly report: RolloutState | undefined;
};

/** A runtime that the rollout applies to and does not wait for: it is cordoned or held, and does not have its adapter. */
export type ApartRuntime = Member & { readonly restraint: Restraint };

/** The runtime of a node that the rollout applies to and that is not connected. */
export type AwayRuntime = {
  readonly name: string;
  readonly labels: PresentRuntime['labels'];
  /** Wall time in milliseconds, as far as anybody knows. */
  readonly since: number | undefined;
  /** It was cordoned or held before it went: that was announced, and is nobody's failure. */
  readonly isApart: boolean;
};

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
  readonly apart: readonly ApartRuntime[];
  /** Runtimes of nodes that it applies to and that are not connected. */
  readonly away: readonly AwayRuntime[];
  readonly nameConflict: string | undefined;
  /** Whether runtimes can hold the target; undefined while it is not known what that is. */
  readonly placement: Placement | undefined;
};

/** The condition that the operator adds to those of a decision. */
export const acceptedType = 'Accepted';

export type ViewInput = {
  readonly rollout: RolloutObject;
  readonly objects: Pick<Objects, 'adapters'>;
  /** In the order of their keys. */
  readonly runtimes: readonly PresentRuntime[];
  readonly nameConflict: string | undefined;
  readonly verdicts: Pick<PolicyVerdicts, 'of'>;
};

/** Reads the caches for one decision. Linear in the runtimes, with no other work per runtime than three lookups. */
export const viewOf = (input: ViewInput): RolloutView => {
  const { rollout, runtimes, nameConflict } = input;
  const { namespace, name, uid } = rollout.metadata;
  const { status, spec } = rollout;
  const key = objectKey(namespace, name);
  const target = viewOfAdapter(input, spec.adapter);
  const stable = stableOf(input);
  const baseModel = target?.baseModel || stable?.baseModel || undefined;
  const members: Member[] = [];
  const apart: ApartRuntime[] = [];
  const away: AwayRuntime[] = [];
  for (const runtime of runtimes) {
    const { presence, state } = runtime;
    if (spec.runtimeSelector !== undefined && !selects(spec.runtimeSelector, runtime.labels)) continue;
    const here = state?.rollouts.get(key);
    const report = here?.uid === uid ? here : undefined;
    // Both objects are gone: the runtimes that still serve stable are those that it applies to.
    const applies =
      baseModel === undefined
        ? status?.stable !== undefined && report?.stableDigest === status.stable.digest
        : runtime.baseModel === baseModel;
    if (!applies) continue;
    if (presence === 'Away') {
      // Pods come and go, and a new one gets what is decided by then: nobody waits for one that is away.
      if (runtime.scope !== undefined) continue;
      const { labels, awaySince: since } = runtime;
      away.push({ name: runtime.key, labels, since, isApart: wentApart(runtime) });
      continue;
    }
    const member: Member = {
      name: runtime.key,
      labels: runtime.labels,
      isServing: state?.ready ?? false,
      instance: state?.instance ?? '',
      isSilent: presence === 'Silent',
      target: target && adapterAt(state, target.key, target.uid),
      stable: stable && adapterAt(state, stable.key, stable.uid),
      report,
    };
    const { restraint } = runtime;
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
    placement: target && placementAt(target, stable, rollout, runtimes),
  };
};

const placementAt = (
  target: AdapterView,
  stable: AdapterView | undefined,
  { spec }: RolloutObject,
  runtimes: readonly PresentRuntime[],
): Placement | undefined => {
  const { baseModel, builds } = target;
  if (baseModel === '') return undefined;
  const isOther = stable !== undefined && stable.uid !== target.uid;
  const besideBytes = isOther ? sizesOf(stable, runtimes).memoryBytes : 0;
  const selector = spec.runtimeSelector;
  const placed = { baseModel, builds, selector, besideBytes, ...sizesOf(target, runtimes) };
  return placementOf(placed, placesFor(target, runtimes));
};

const wentApart = ({ restraint, restrainedSince, awaySince }: PresentRuntime): boolean =>
  restraint !== undefined && (awaySince === undefined || (restrainedSince ?? Infinity) <= awaySince);

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
  { rollout: { metadata: of, status }, objects, verdicts }: ViewInput,
  name: string,
): AdapterView | undefined => {
  const read = objects.adapters.get(objectKey(of.namespace, name));
  if (read === undefined) return undefined;
  const { metadata, object } = read;
  const bound = [status?.stable, status?.canary, ...(status?.history ?? [])].find(
    (known) => known?.uid === metadata.uid,
  );
  const verdict = object && verdicts.of(object);
  const digest = object?.spec.digest ?? object?.status?.digest;
  return {
    key: read.key,
    uid: metadata.uid,
    // What no plan has is not bound.
    digest: (verdict === undefined ? digest : undefined) ?? bound?.digest,
    baseModel: object?.spec.baseModel ?? '',
    builds: object?.spec.baseModelDigests,
    missing: verdict === undefined ? whyMissing(read) : { reason: 'NotAllowed', message: verdict.message },
    isKept: bound !== undefined || metadata.finalizers?.includes(inUseFinalizer) === true,
    isDeleting: metadata.deletionTimestamp !== undefined,
  };
};

const whyMissing = ({ object, problems }: Read<AdapterObject>): AdapterView['missing'] => {
  if (object === undefined) {
    return { reason: 'InvalidSpec', message: problems.map(({ reason }) => reason).join('; ') };
  }
  const resolved = conditionOf(object.status?.conditions, 'Resolved');
  return { reason: 'NotResolved', message: resolved?.status === 'True' ? '' : (resolved?.message ?? '') };
};
