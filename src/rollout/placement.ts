import type { Condition } from '../api/condition.ts';
import type { Selector } from '../api/selector.ts';
import type { PlacementReason } from './reasons.ts';

/** Runtimes that are alike, as somebody looks at them who has an adapter to place. */
export type Place = {
  /** How many they are. */
  readonly count: number;
  /** They have the labels that are asked for. */
  readonly isSelected: boolean;
  readonly baseModel: string;
  /** Digest of the base model; '' while it is not known. */
  readonly build: string;
  readonly isConnected: boolean;
  /** They take nothing new, and do not have the adapter. */
  readonly isClosed: boolean;
  /** Budgets in bytes; 0 while they are not known. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Largest LoRA rank; 0 while it is not known. */
  readonly maxRank: number;
  /** Code of the error catalogue why they cannot have the adapter, as they say themselves; '': they do not say so. */
  readonly failure: string;
  /** They have the adapter on their disk and wait for room in RAM. */
  readonly waitsForRoom: boolean;
};

/** What is to be placed. Numbers are 0 while they are not known. */
export type Placed = {
  readonly baseModel: string;
  /** Builds of the base model that it is made for; undefined: all. */
  readonly builds: readonly string[] | undefined;
  /** The labels that are asked for. */
  readonly selector: Selector | undefined;
  readonly memoryBytes: number;
  /** RAM of what has to stay beside it. */
  readonly besideBytes: number;
  readonly diskBytes: number;
  readonly rank: number;
};

export type Placement = {
  readonly status: Condition['status'];
  readonly reason: PlacementReason;
  readonly message: string;
};

type Obstacle = Exclude<PlacementReason, 'Placeable' | 'NoRuntime' | 'NotConnected' | 'AdapterUnknown'>;

const told: Readonly<Record<Obstacle, string>> = {
  Cordoned: 'cordoned or held',
  OtherBuild: 'with another build of the base model',
  NoMemory: 'with too little RAM',
  NoDisk: 'with too little disk',
  RankTooHigh: 'that accept no such rank',
  Refused: 'that refused it',
};

/**
 * Whether any runtime can hold an adapter, with the numbers: pure. Only what is known speaks against a runtime: sizes and
 * ranks are known once one of them has it.
 */
export const placementOf = (placed: Placed, places: Iterable<Place>): Placement => {
  const all = [...places];
  const { baseModel, selector } = placed;
  const ofModel = all.filter((place) => place.baseModel === baseModel);
  const selected = ofModel.filter(({ isSelected }) => isSelected);
  const connected = selected.filter(({ isConnected }) => isConnected);
  const size = sizeOf(selected);
  const connectedSize = sizeOf(connected);
  const labels = labelsText(selector);
  const which = `the base model ${baseModel}${labels === '' ? '' : ` and the labels ${labels}`}`;
  if (size === 0) {
    const ofLabels = labels === '' ? '' : ', 0 of these with these labels';
    const counts = `${sizeOf(all)} runtimes, ${sizeOf(ofModel)} with this model${ofLabels}`;
    return { status: 'False', reason: 'NoRuntime', message: `no runtime has ${which} (${counts})` };
  }
  if (connectedSize === 0) {
    const message = `${runtimes(size)} with ${which}, none of them is connected`;
    return { status: 'False', reason: 'NotConnected', message };
  }
  const obstacles = Map.groupBy(connected, (place) => obstacleOf(placed, place));
  const able = sizeOf(obstacles.get(undefined) ?? []);
  obstacles.delete(undefined);
  const counted = [...obstacles]
    .flatMap(([obstacle, here]) => (obstacle === undefined ? [] : [{ obstacle, count: sizeOf(here) }]))
    .toSorted((a, b) => b.count - a.count || (a.obstacle < b.obstacle ? -1 : 1));
  const counts = counted.map(({ obstacle, count }) => `${count} ${told[obstacle]}`).join(', ');
  const [most] = counted;
  if (able > 0 || most === undefined) {
    const others = counts === '' ? '' : `; ${counts}`;
    const message = `${able} of ${connectedSize} connected runtimes with ${which} can hold it${others}`;
    return { status: 'True', reason: 'Placeable', message };
  }
  const why = detailOf(most.obstacle, placed, connected);
  const message = `none of ${runtimes(connectedSize)} with ${which} can hold it: ${counts}${why}`;
  return { status: 'False', reason: most.obstacle, message };
};

const sizeOf = (places: readonly Place[]): number => places.reduce((sum, { count }) => sum + count, 0);

const runtimes = (count: number): string => (count === 1 ? '1 runtime' : `${count} runtimes`);

const labelsText = (selector: Selector | undefined): string =>
  Object.entries(selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(', ');

const ofFailure: ReadonlyMap<string, Obstacle> = new Map([
  ['RESIDENCY_BUDGET', 'NoMemory'],
  ['STORE_FULL', 'NoDisk'],
  ['ADAPTER_RANK_LIMIT', 'RankTooHigh'],
]);

/** A limit that is not known is none. */
const isAbove = (need: number, limit: number): boolean => limit > 0 && need > limit;

/** Why a runtime cannot hold it; undefined: nothing is known against it. */
const obstacleOf = (placed: Placed, place: Place): Obstacle | undefined => {
  if (place.build !== '' && placed.builds?.includes(place.build) === false) return 'OtherBuild';
  if (place.isClosed) return 'Cordoned';
  if (place.failure !== '') return ofFailure.get(place.failure) ?? 'Refused';
  if (isAbove(placed.rank, place.maxRank)) return 'RankTooHigh';
  if (isAbove(placed.diskBytes, place.diskBytes)) return 'NoDisk';
  if (isAbove(placed.memoryBytes, place.memoryBytes)) return 'NoMemory';
  // With a budget of one adapter the other one steps down: only one that waits has found no room beside it.
  const together = placed.memoryBytes + placed.besideBytes;
  return place.waitsForRoom && isAbove(together, place.memoryBytes) ? 'NoMemory' : undefined;
};

/** The numbers of an obstacle, where they are known. */
const detailOf = (
  obstacle: Obstacle,
  { memoryBytes, besideBytes, diskBytes, rank }: Placed,
  places: readonly Place[],
): string => {
  const largest = (of: (place: Place) => number): number => Math.max(...places.map(of));
  switch (obstacle) {
    case 'NoMemory': {
      const limit = largest((place) => place.memoryBytes);
      if (memoryBytes === 0) return `; the largest budget is ${mebibytes(limit)}`;
      const beside =
        memoryBytes <= limit && besideBytes > 0 ? ` beside ${mebibytes(besideBytes)} of stable` : '';
      return `; it needs ${mebibytes(memoryBytes)}${beside}, the largest budget is ${mebibytes(limit)}`;
    }
    case 'NoDisk': {
      const limit = mebibytes(largest((place) => place.diskBytes));
      return diskBytes === 0
        ? `; the largest budget is ${limit}`
        : `; it needs ${mebibytes(diskBytes)}, the largest budget is ${limit}`;
    }
    case 'RankTooHigh':
      return rank === 0 ? '' : `; its rank is ${rank}, the highest limit is ${largest((p) => p.maxRank)}`;
    case 'Cordoned':
    case 'OtherBuild':
    case 'Refused':
      return '';
    default:
      return obstacle satisfies never;
  }
};

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
