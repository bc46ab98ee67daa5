import type { PreloadTier } from '../../api/adapter.ts';
import type { AdapterStatus } from '../../api/adapter-status.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { wantsOfRollouts } from '../../plan/tiers.ts';
import { type Placement, placementOf } from '../../rollout/placement.ts';
import { canServe, isHere } from '../fleet/adapter-at.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { Question } from '../reconcile/alike.ts';
import type { Said } from '../reconcile/group.ts';
import { placesFor, sizesOf } from '../reconcile/places.ts';
import type { AlikeGroup, PresentRuntime, RuntimeSet } from '../reconcile/presence.ts';
import { firstOf, sizeOf } from '../reconcile/runtime-sets.ts';

/** Connected runtimes of the base model that are alike, with what they should and do hold. */
export type Holder = {
  readonly runtimes: RuntimeSet;
  readonly tier: PreloadTier;
  readonly baseDigest: Digest | '';
  readonly isSilent: boolean;
  /** Of this very object. */
  readonly state: AdapterState | undefined;
  readonly isServing: boolean;
};

const onDisk: ReadonlySet<string> = new Set(['Stored', 'Compiled', 'Loaded', 'Resident', 'Draining']);

type Place = Pick<PresentRuntime, 'key' | 'labels'>;
/** For what does not depend on where. */
const nowhere: Place = { key: objectKey('', ''), labels: {} };

const named = (object: AdapterObject | RolloutObject) => ({ key: keyOf(object), uid: object.metadata.uid });

/** What an adapter asks of runtimes. `rollouts`: those that name it and are part of the plan. */
export const questionOf = (adapter: AdapterObject, rollouts: readonly RolloutObject[]): Question => ({
  selectors: [
    adapter.spec.preload.runtimeSelector,
    ...rollouts.map(({ spec: { runtimeSelector } }) => runtimeSelector),
  ],
  adapters: [named(adapter)],
  rollouts: rollouts.map(named),
});

const stateOf = ({ adapters: [state] }: AlikeGroup): AdapterState | undefined => state;

/**
 * The runtimes that count for an adapter, from the answers to its question; the tier is the one that the plan compiler
 * gives.
 */
export const holdersOf = (
  adapter: AdapterObject,
  digest: Digest | undefined,
  rollouts: readonly RolloutObject[],
  groups: readonly AlikeGroup[],
): Holder[] => {
  const key = keyOf(adapter);
  const alone = new Map([[key, adapter]]);
  const wants = rollouts.map((rollout) => {
    const wantAt = (runtime: Place) => wantsOfRollouts([rollout], alone, runtime).get(key);
    const isInGroups = rollout.status?.groups !== undefined;
    const everywhere = isInGroups ? undefined : wantAt(nowhere);
    return { isInGroups, wantAt: (runtime: Place) => (isInGroups ? wantAt(runtime) : everywhere) };
  });
  return groups.flatMap((group): Holder[] => {
    const { presence, profile, selected, reports, runtimes } = group;
    if (presence === 'Away' || profile.baseModel !== adapter.spec.baseModel) return [];
    const [isPreloaded = false, ...chosen] = selected;
    const applying = wants.filter((_, index) => chosen[index]);
    const tierAt = (place: Place): PreloadTier => {
      const { tier } = adapter.spec.preload;
      const tiers = applying.map(({ wantAt }) => wantAt(place)?.tier);
      const all = isPreloaded ? [...tiers, tier] : tiers;
      return all.includes('Memory') ? 'Memory' : all.includes('Disk') ? 'Disk' : 'None';
    };
    const state = stateOf(group);
    const serves = (report: Said | undefined, index: number): boolean =>
      report !== undefined &&
      chosen[index] === true &&
      (report.stableDigest === digest || (report.canaryDigest === digest && report.effectiveWeight > 0));
    const holder = {
      runtimes,
      baseDigest: profile.build,
      isSilent: presence === 'Silent',
      state,
      isServing: digest !== undefined && canServe(state) && reports.some(serves),
    };
    // Runtimes that are cordoned or held are waited for only where they have it.
    if (profile.restraint !== undefined && !isHere(state)) return [{ ...holder, tier: 'None' }];
    if (!applying.some(({ isInGroups }) => isInGroups)) return [{ ...holder, tier: tierAt(nowhere) }];
    // Who is in which group of a rollout is a question of its name.
    const byTier = Map.groupBy(runtimes.each(), tierAt);
    return [...byTier].map(([tier, all]) => ({
      ...holder,
      tier,
      runtimes: byTier.size === 1 ? runtimes : runtimes.only(new Set(all.map((runtime) => runtime.key))),
    }));
  });
};

/**
 * Whether runtimes can hold it: those that preload it, where they are chosen. Rollouts say the same about theirs. Nothing
 * has to stay beside it.
 */
export const placementAt = ({ spec }: AdapterObject, groups: readonly AlikeGroup[]): Placement => {
  const { baseModel, baseModelDigests: builds, preload } = spec;
  const isPreloaded = preload.tier !== 'None';
  const selector = isPreloaded ? preload.runtimeSelector : undefined;
  const placed = { baseModel, builds, selector, besideBytes: 0, ...sizesOf(groups, stateOf) };
  const isSelected = ({ selected: [is = true] }: AlikeGroup): boolean => !isPreloaded || is;
  return placementOf(placed, placesFor(groups, stateOf, isSelected));
};

const isResident = (state: AdapterState | undefined): boolean => state?.state === 'Resident';
const isStored = (state: AdapterState | undefined): boolean => state !== undefined && onDisk.has(state.state);

export const isFailed = ({ state }: Holder): boolean => state?.state === 'Failed';

/** It is there as far as it should be. */
export const isSatisfied = ({ tier, state }: Holder): boolean =>
  tier === 'None' || (tier === 'Memory' ? canServe(state) : isStored(state));

export const countsOf = (holders: readonly Holder[]): AdapterStatus['runtimes'] => {
  const count = (holds: (holder: Holder) => boolean): number => sizeOf(holders.filter(holds));
  return {
    desired: count(({ tier }) => tier !== 'None'),
    stored: count(({ state }) => isStored(state)),
    resident: count(({ state }) => isResident(state)),
    serving: count(({ isServing }) => isServing),
    failed: count(isFailed),
  };
};

/** What runtimes found in the artifact. It is fixed by the digest: what was written once stays. */
export const contentOf = (
  holders: readonly Holder[],
  before: Pick<AdapterStatus, 'sizeBytes' | 'rank' | 'targetModules'> | undefined,
): Pick<AdapterStatus, 'sizeBytes' | 'rank' | 'targetModules'> => {
  const firstWith = (says: (state: AdapterState) => boolean): AdapterState | undefined =>
    firstOf(holders.filter(({ state }) => state !== undefined && says(state)))?.group.state;
  const sizeBytes = before?.sizeBytes ?? firstWith(({ storedBytes }) => storedBytes > 0)?.storedBytes;
  const rank = before?.rank ?? firstWith((state) => state.rank > 0)?.rank;
  const modules =
    before?.targetModules === undefined
      ? firstWith((state) => state.targetModules.length > 0)?.targetModules
      : undefined;
  const targetModules = before?.targetModules ?? (modules && bounded(modules));
  return {
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(rank === undefined ? {} : { rank: Math.min(rank, 1_000_000) }),
    ...(targetModules === undefined ? {} : { targetModules: [...targetModules] }),
  };
};

const bounded = (modules: readonly string[]): string[] =>
  [...new Set(modules.map((name) => name.slice(0, 256).toWellFormed()))].slice(0, 64);
