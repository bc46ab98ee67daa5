import type { PreloadTier } from '../../api/adapter.ts';
import type { AdapterStatus } from '../../api/adapter-status.ts';
import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import { keyOf } from '../../api/references.ts';
import { selects } from '../../api/selector.ts';
import { tierOf, wantsOfRollouts } from '../../plan/tiers.ts';
import { type Placement, placementOf } from '../../rollout/placement.ts';
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import { placesFor, sizesOf } from '../reconcile/places.ts';
import type { PresentRuntime } from '../reconcile/presence.ts';

/** A connected runtime of the base model, with what it should and does hold. */
export type Holder = {
  readonly key: ObjectKey;
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

/**
 * The runtimes that count for an adapter. `rollouts`: those that name it and are part of the plan; the tier is the one
 * that the plan compiler gives.
 */
export const holdersOf = (
  adapter: AdapterObject,
  digest: Digest | undefined,
  rollouts: readonly RolloutObject[],
  runtimes: readonly PresentRuntime[],
): Holder[] => {
  const key = keyOf(adapter);
  const alone = new Map([[key, adapter]]);
  const wants = rollouts.map((rollout) => {
    const wantAt = (runtime: Place) => wantsOfRollouts([rollout], alone, runtime).get(key);
    const isInGroups = rollout.status?.groups !== undefined;
    const everywhere = isInGroups ? undefined : wantAt(nowhere);
    return {
      key: keyOf(rollout),
      uid: rollout.metadata.uid,
      isSelective: isInGroups || rollout.spec.runtimeSelector !== undefined,
      selector: rollout.spec.runtimeSelector,
      wantAt: (runtime: Place) => (isInGroups ? wantAt(runtime) : everywhere),
    };
  });
  const preload = adapter.spec.preload.runtimeSelector;
  const tierAt = (applying: typeof wants, place: Place): PreloadTier => {
    const tiers = [undefined, ...applying.map(({ wantAt }) => wantAt(place))].map((want) =>
      tierOf(adapter, want, place.labels),
    );
    return tiers.includes('Memory') ? 'Memory' : tiers.includes('Disk') ? 'Disk' : 'None';
  };
  // The same for every runtime as long as nothing selects.
  const selectsNone = preload === undefined && wants.every(({ isSelective }) => !isSelective);
  const tierOfAll = selectsNone ? tierAt(wants, nowhere) : undefined;

  const holders: Holder[] = [];
  for (const runtime of runtimes) {
    const { presence, state, labels } = runtime;
    if (presence === 'Away' || runtime.baseModel !== adapter.spec.baseModel) continue;
    const applying = selectsNone ? wants : wants.filter(({ selector }) => selects(selector, labels));
    const own = adapterAt(state, key, adapter.metadata.uid);
    const serves = (rollout: (typeof wants)[number]): boolean => {
      const report = state?.rollouts.get(rollout.key);
      if (report === undefined || report.uid !== rollout.uid) return false;
      return report.stableDigest === digest || (report.canaryDigest === digest && report.effectiveWeight > 0);
    };
    holders.push({
      key: runtime.key,
      // A runtime that is cordoned or held is waited for only where it has it.
      tier:
        runtime.restraint === undefined || isHere(own) ? (tierOfAll ?? tierAt(applying, runtime)) : 'None',
      baseDigest: state?.info.baseDigest ?? '',
      isSilent: presence === 'Silent',
      state: own,
      isServing: digest !== undefined && isResident(own) && applying.some(serves),
    });
  }
  return holders;
};

/**
 * Whether runtimes can hold it: those that preload it, where they are chosen. Rollouts say the same about theirs. Nothing
 * has to stay beside it.
 */
export const placementAt = (
  { metadata, spec }: AdapterObject,
  runtimes: readonly PresentRuntime[],
): Placement => {
  const adapter = { key: objectKey(metadata.namespace, metadata.name), uid: metadata.uid };
  const { baseModel, baseModelDigests: builds, preload } = spec;
  const selector = preload.tier === 'None' ? undefined : preload.runtimeSelector;
  const placed = { baseModel, builds, selector, besideBytes: 0, ...sizesOf(adapter, runtimes) };
  return placementOf(placed, placesFor(adapter, runtimes));
};

const isResident = (state: AdapterState | undefined): boolean => state?.state === 'Resident';
const isStored = (state: AdapterState | undefined): boolean => state !== undefined && onDisk.has(state.state);

export const isFailed = ({ state }: Holder): boolean => state?.state === 'Failed';

/** It is there as far as it should be. */
export const isSatisfied = ({ tier, state }: Holder): boolean =>
  tier === 'None' || (tier === 'Memory' ? isResident(state) : isStored(state));

export const countsOf = (holders: readonly Holder[]): AdapterStatus['runtimes'] => {
  const count = (holds: (holder: Holder) => boolean): number => holders.filter(holds).length;
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
  const states = holders.flatMap(({ state }) => (state === undefined ? [] : [state]));
  const sizeBytes = before?.sizeBytes ?? states.find((state) => state.storedBytes > 0)?.storedBytes;
  const rank = before?.rank ?? states.find((state) => state.rank > 0)?.rank;
  const modules = states.find((state) => state.targetModules.length > 0)?.targetModules;
  const targetModules = before?.targetModules ?? (modules && bounded(modules));
  return {
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(rank === undefined ? {} : { rank: Math.min(rank, 1_000_000) }),
    ...(targetModules === undefined ? {} : { targetModules: [...targetModules] }),
  };
};

const bounded = (modules: readonly string[]): string[] =>
  [...new Set(modules.map((name) => name.slice(0, 256).toWellFormed()))].slice(0, 64);
