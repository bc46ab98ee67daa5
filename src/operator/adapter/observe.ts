import type { PreloadTier } from '../../api/adapter.ts';
import type { AdapterStatus } from '../../api/adapter-status.ts';
import type { Digest } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { wantsOfRollouts } from '../../plan/tiers.ts';
import { assignmentIn } from '../../rollout/groups/assignment.ts';
import { type Placement, placementOf } from '../../rollout/placement.ts';
import { canServe, isHere } from '../fleet/adapter-at.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { Question } from '../reconcile/alike.ts';
import type { Said } from '../reconcile/group.ts';
import { placesFor, sizesOf } from '../reconcile/places.ts';
import type { AlikeGroup, Presences, RuntimeSet } from '../reconcile/presence.ts';
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
  kept: Pick<Presences, 'parted'>,
): Holder[] => {
  const asked = rollouts.map((rollout) => askedBy(adapter, rollout, kept));
  return groups.flatMap((group): Holder[] => {
    const { presence, profile, selected, reports, runtimes } = group;
    if (presence === 'Away' || profile.baseModel !== adapter.spec.baseModel) return [];
    const [isPreloaded = false, ...chosen] = selected;
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
    let parts: readonly Part[] = [{ runtimes, tiers: isPreloaded ? [adapter.spec.preload.tier] : [] }];
    for (const [index, partsOf] of asked.entries())
      if (chosen[index] === true)
        parts = parts.flatMap((part) =>
          partsOf(part.runtimes).map((one) => ({ ...one, tiers: [...part.tiers, ...one.tiers] })),
        );
    return parts.map(({ runtimes: some, tiers }) => ({
      ...holder,
      runtimes: some,
      tier: tiers.includes('Memory') ? 'Memory' : tiers.includes('Disk') ? 'Disk' : 'None',
    }));
  });
};

type Part = { readonly runtimes: RuntimeSet; readonly tiers: readonly PreloadTier[] };

/** What a rollout asks of runtimes that it applies to: the same of all, or by the group that each is in. */
const askedBy = (adapter: AdapterObject, rollout: RolloutObject, kept: Pick<Presences, 'parted'>) => {
  const key = keyOf(adapter);
  const { status, metadata } = rollout;
  const tiersIf = (isLoaded: boolean): PreloadTier[] => {
    const want = wantsOfRollouts([rollout], new Map([[key, adapter]]), () => isLoaded).get(key);
    return want === undefined ? [] : [want.tier];
  };
  const [loaded, near] = [tiersIf(true), tiersIf(false)];
  return (runtimes: RuntimeSet): readonly Part[] =>
    status?.groups === undefined
      ? [{ runtimes, tiers: status?.abort === undefined ? loaded : near }]
      : kept.parted(runtimes, metadata.uid, status.groups).map(({ group, isOpen, runtimes: some }) => ({
          runtimes: some,
          tiers: assignmentIn(status, group, isOpen).isLoaded ? loaded : near,
        }));
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
