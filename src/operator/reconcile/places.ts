import type { ObjectKey } from '../../api/names.ts';
import type { Place, Placed } from '../../rollout/placement.ts';
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import type { PresentRuntime } from './presence.ts';

/** An Adapter object. */
export type PlacedAdapter = { readonly key: ObjectKey; readonly uid: string };

/** Runtimes as an adapter is placed on them. */
export const placesFor = (adapter: PlacedAdapter, runtimes: readonly PresentRuntime[]): Place[] =>
  runtimes.map(({ labels, baseModel, presence, restraint, state }) => {
    const here = adapterAt(state, adapter.key, adapter.uid);
    const isFailed = here?.state === 'Failed' && (here.isFinal || here.reason === 'STORE_FULL');
    return {
      labels,
      baseModel,
      build: state?.info.baseDigest ?? '',
      isConnected: presence !== 'Away',
      isClosed: restraint !== undefined && !isHere(here),
      memoryBytes: state?.memory.budgetBytes ?? 0,
      diskBytes: state?.disk.budgetBytes ?? 0,
      maxRank: state?.info.maxRank ?? 0,
      failure: isFailed ? here.reason : '',
      waitsForRoom: here?.state === 'Compiled' && here.message !== '',
    };
  });

/** What runtimes have found out about an adapter: it is the same everywhere, or nearly so. */
export const sizesOf = (
  adapter: PlacedAdapter,
  runtimes: readonly PresentRuntime[],
): Pick<Placed, 'memoryBytes' | 'diskBytes' | 'rank'> => {
  const sizes = { memoryBytes: 0, diskBytes: 0, rank: 0 };
  for (const { state } of runtimes) {
    const here = adapterAt(state, adapter.key, adapter.uid);
    if (here === undefined) continue;
    sizes.memoryBytes = Math.max(sizes.memoryBytes, here.neededBytes, here.residentBytes);
    sizes.diskBytes = Math.max(sizes.diskBytes, here.storedBytes);
    sizes.rank = Math.max(sizes.rank, here.rank);
  }
  return sizes;
};
