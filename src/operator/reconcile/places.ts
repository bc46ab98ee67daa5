import type { Place, Placed } from '../../rollout/placement.ts';
import { isHere } from '../fleet/adapter-at.ts';
import type { AdapterState } from '../fleet/fleet.ts';
import type { AlikeGroup } from './presence.ts';

/** What the runtimes of a group say of the adapter that is to be placed. */
export type Here = (group: AlikeGroup) => AdapterState | undefined;

/** Runtimes as an adapter is placed on them. */
export const placesFor = (
  groups: readonly AlikeGroup[],
  hereOf: Here,
  isSelected: (group: AlikeGroup) => boolean,
): Place[] =>
  groups.map((group) => {
    const { profile, presence, runtimes } = group;
    const here = hereOf(group);
    const isFailed = here?.state === 'Failed' && (here.isFinal || here.reason === 'STORE_FULL');
    return {
      count: runtimes.size,
      isSelected: isSelected(group),
      baseModel: profile.baseModel,
      build: profile.build,
      isConnected: presence !== 'Away',
      isClosed: profile.restraint !== undefined && !isHere(here),
      memoryBytes: profile.memoryBytes,
      diskBytes: profile.diskBytes,
      maxRank: profile.maxRank,
      failure: isFailed ? here.reason : '',
      waitsForRoom: here?.state === 'Compiled' && here.message !== '',
    };
  });

/** What runtimes have found out about an adapter: it is the same everywhere, or nearly so. */
export const sizesOf = (
  groups: readonly AlikeGroup[],
  hereOf: Here,
): Pick<Placed, 'memoryBytes' | 'diskBytes' | 'rank'> => {
  const sizes = { memoryBytes: 0, diskBytes: 0, rank: 0 };
  for (const group of groups) {
    const here = hereOf(group);
    if (here === undefined) continue;
    sizes.memoryBytes = Math.max(sizes.memoryBytes, here.neededBytes, here.residentBytes);
    sizes.diskBytes = Math.max(sizes.diskBytes, here.storedBytes);
    sizes.rank = Math.max(sizes.rank, here.rank);
  }
  return sizes;
};
