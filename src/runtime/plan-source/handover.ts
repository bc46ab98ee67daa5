import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { type Plan, resourceKey, type SplitResource, versioned } from '../../plan/resources.ts';
import { partsOf, policiesIn, type RoutingTable, sourceRefusalOf } from '../routing/table.ts';
import type { Kept } from '../state/kept.ts';

/** What this node knows of adapters. */
export type HandoverFacts = {
  serves(key: ObjectKey, digest: Digest): boolean;
  /** On the disk, so that it can be loaded without its source. */
  isHere(key: ObjectKey, digest: Digest): boolean;
  isHeld(rolloutUid: string, digest: Digest): boolean;
  /** It could not be brought here, and is tried again by itself. */
  isLost(key: ObjectKey): boolean;
  /** Known not to be signed as the plan in force asks, or broken: it is not tried again by itself. */
  isRefused(key: ObjectKey): boolean;
};

type Before = {
  readonly table: Pick<RoutingTable, 'splits' | 'adapters'>;
  readonly kept: ReadonlyMap<ObjectKey, Kept>;
};

/**
 * Of which rollouts the stable of before goes on serving, though the plan names another: that one is not Resident yet. A node that was away
 * gets a stable that it never had as a canary, and the one that it serves may be in no plan any more. A rollback is no such case: what it goes
 * away from serves no longer; nor does what a policy of the plan forbids. Where stable is gone from the disk and cannot be brought, the version before
 * serves, if that is here and was not rolled back.
 */
export const keptOf = (plan: Plan, before: Before, facts: HandoverFacts): ReadonlyMap<ObjectKey, Kept> => {
  const policies = policiesIn(plan);
  const isForbidden = ({ name, body }: Kept['adapter']): boolean =>
    facts.isRefused(name) || sourceRefusalOf(policies, partsOf(name)[0], body.source) !== undefined;
  const kept = [...plan.values()].flatMap((resource) => {
    const one = resource.type === 'Split' ? keptFor(resource, plan, before, facts) : undefined;
    return one === undefined || isForbidden(one.adapter) ? [] : [[resource.name, one] as const];
  });
  return new Map(kept);
};

const keptFor = (
  { name, body }: SplitResource,
  plan: Plan,
  { table, kept }: Before,
  facts: HandoverFacts,
): Kept | undefined => {
  const { stable, uid } = body;
  const known = kept.get(name);
  const lost = known === undefined ? beforeLost({ name, body }, plan, facts) : undefined;
  const served = known ?? lost ?? servedOf(table, name, facts, stable);
  if (stable === undefined || served?.uid !== uid || served.bound.digest === stable.digest) return undefined;
  const [namespace] = partsOf(name);
  const next = objectKey(namespace, stable.adapter);
  // Never to come: nothing to wait for.
  if (plan.get(resourceKey({ type: 'AdapterSpec', name: next })) === undefined) return undefined;
  if (facts.serves(next, stable.digest) || facts.isHeld(uid, served.bound.digest)) return undefined;
  const planned = plan.get(resourceKey(served.adapter));
  // Another object has its name.
  if (planned?.type === 'AdapterSpec' && planned.body.uid !== served.adapter.body.uid) return undefined;
  if (known !== undefined || lost !== undefined) return served;
  // What was rolled back is a canary that was given up, or is passed over between the version before it and the next.
  const mine = table.splits.get(name)?.body.former?.digest;
  const isPassedOver = mine !== undefined && mine !== served.bound.digest && mine === body.former?.digest;
  const isRollback = mine === stable.digest || isPassedOver || body.canary?.digest === served.bound.digest;
  return isRollback || !facts.isHere(served.adapter.name, served.bound.digest) ? undefined : served;
};

/** The version before a stable that cannot be brought. */
const beforeLost = (
  { name, body: { uid, stable, former, canary } }: Pick<SplitResource, 'name' | 'body'>,
  plan: Plan,
  facts: HandoverFacts,
): Kept | undefined => {
  const [namespace] = partsOf(name);
  // With a canary under way the plan does not tell whether stable was put back because of the version before.
  if (stable === undefined || former === undefined || canary !== undefined) return undefined;
  if (!facts.isLost(objectKey(namespace, stable.adapter))) return undefined;
  const adapter = plan.get(resourceKey({ type: 'AdapterSpec', name: objectKey(namespace, former.adapter) }));
  if (adapter?.type !== 'AdapterSpec' || !facts.isHere(adapter.name, former.digest)) return undefined;
  return { rollout: name, uid, bound: former, adapter };
};

/** Stable, or the one before it where stable is held back; undefined also where that is `next`. */
const servedOf = (
  { splits, adapters }: Before['table'],
  rollout: ObjectKey,
  facts: HandoverFacts,
  next: BoundAdapter | undefined,
): Kept | undefined => {
  const split = splits.get(rollout);
  if (split === undefined) return undefined;
  const { uid, stable, former } = split.body;
  const bound = [stable, former].find((one) => one !== undefined && !facts.isHeld(uid, one.digest));
  if (bound === undefined || bound.digest === next?.digest) return undefined;
  const adapter = adapters.get(objectKey(partsOf(rollout)[0], bound.adapter));
  return adapter === undefined ? undefined : { rollout, uid, bound, adapter };
};

/**
 * The plan as this node can follow it now. What is kept serves as stable, and a canary has no requests: it is nothing to compare one with. It makes
 * room in RAM where the stable of the plan, which is held, finds none beside it.
 */
export const withKept = (plan: Plan, kept: ReadonlyMap<ObjectKey, Kept>): Plan => {
  if (kept.size === 0) return plan;
  const resources = new Map(plan);
  for (const { rollout, bound, adapter } of kept.values()) {
    const split = plan.get(resourceKey({ type: 'Split', name: rollout }));
    if (split?.type !== 'Split' || split.body.stable === undefined) continue;
    const { former: _, mirror: __, stable, ...rest } = split.body;
    const message = `${bound.adapter} serves until ${stable.adapter}, which is stable, is here`;
    const body = { ...rest, stable: bound, weight: 0, message };
    resources.set(resourceKey(split), versioned({ type: 'Split', name: rollout, body }));
    const key = resourceKey(adapter);
    const planned = resources.get(key);
    const its = planned?.type === 'AdapterSpec' ? planned : adapter;
    const pinned = its === planned && its.body.pinned;
    if (its === planned && its.body.tier === 'Memory') continue;
    // One that is in no plan any more has to be signed where the stable that it waits for has to be.
    const nextKey = objectKey(partsOf(rollout)[0], stable.adapter);
    const marked = its === planned ? its : plan.get(resourceKey({ type: 'AdapterSpec', name: nextKey }));
    const { signed: ___, ...unmarked } = its.body;
    const isSigned = marked?.type === 'AdapterSpec' && marked.body.signed === true;
    const mark = isSigned ? { signed: true as const } : {};
    const inMemory = { ...unmarked, ...mark, tier: 'Memory' as const, held: false, pinned };
    resources.set(key, versioned({ type: 'AdapterSpec', name: its.name, body: inMemory }));
  }
  return resources;
};
