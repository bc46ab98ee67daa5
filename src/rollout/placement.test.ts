import { describe, expect, it } from 'vitest';
import { type Place, type Placed, placementOf } from './placement.ts';

const MiB = 2 ** 20;
const place = (more: Partial<Place> = {}): Place => ({
  count: 1,
  isSelected: true,
  baseModel: 'smollm2',
  build: '',
  isConnected: true,
  isClosed: false,
  memoryBytes: 32 * MiB,
  diskBytes: 100 * MiB,
  maxRank: 64,
  failure: '',
  waitsForRoom: false,
  ...more,
});
const many = (count: number, more: Partial<Place> = {}): Place[] =>
  Array.from({ length: count }, () => place(more));
const placed = (more: Partial<Placed> = {}): Placed => ({
  baseModel: 'smollm2',
  builds: undefined,
  selector: undefined,
  memoryBytes: 0,
  besideBytes: 0,
  diskBytes: 0,
  rank: 0,
  ...more,
});
const site = (value: string) => ({ matchLabels: { site: value } });
const other = { baseModel: 'qwen' };

describe('where an adapter can be placed', () => {
  it.each<[string, Partial<Placed>, Place[], string, string]>([
    [
      'nowhere, without any runtime',
      {},
      [],
      'False NoRuntime',
      'no runtime has the base model smollm2 (0 runtimes, 0 with this model)',
    ],
    [
      'nowhere, where none has the labels',
      { selector: site('b') },
      [...many(3, { isSelected: false }), ...many(9, { ...other, isSelected: false })],
      'False NoRuntime',
      'no runtime has the base model smollm2 and the labels site=b (12 runtimes, 3 with this model, 0 of these with these labels)',
    ],
    [
      'nowhere, while those that have the labels are away',
      { selector: site('a') },
      many(2, { isConnected: false }),
      'False NotConnected',
      '2 runtimes with the base model smollm2 and the labels site=a, none of them is connected',
    ],
    [
      'nowhere, while all of them are cordoned',
      {},
      many(2, { isClosed: true }),
      'False Cordoned',
      'none of 2 runtimes with the base model smollm2 can hold it: 2 cordoned or held',
    ],
    [
      'nowhere, where it is too large',
      { memoryBytes: 48 * MiB },
      [...many(4, { memoryBytes: 16 * MiB }), place()],
      'False NoMemory',
      'none of 5 runtimes with the base model smollm2 can hold it: 5 with too little RAM; it needs 48.0 MiB, the largest budget is 32.0 MiB',
    ],
    [
      'nowhere, where it waits for room beside stable',
      { memoryBytes: 20 * MiB, besideBytes: 20 * MiB },
      [place({ waitsForRoom: true })],
      'False NoMemory',
      'none of 1 runtime with the base model smollm2 can hold it: 1 with too little RAM; it needs 20.0 MiB beside 20.0 MiB of stable, the largest budget is 32.0 MiB',
    ],
    [
      'nowhere, where runtimes say that it is too large before anybody knows its size',
      {},
      [place({ failure: 'RESIDENCY_BUDGET' })],
      'False NoMemory',
      'none of 1 runtime with the base model smollm2 can hold it: 1 with too little RAM; the largest budget is 32.0 MiB',
    ],
    [
      'nowhere, where the disks are too small',
      { diskBytes: 200 * MiB },
      many(2),
      'False NoDisk',
      'none of 2 runtimes with the base model smollm2 can hold it: 2 with too little disk; it needs 200.0 MiB, the largest budget is 100.0 MiB',
    ],
    [
      'nowhere, where its rank is too high',
      { rank: 128 },
      [place(), place({ maxRank: 32 })],
      'False RankTooHigh',
      'none of 2 runtimes with the base model smollm2 can hold it: 2 that accept no such rank; its rank is 128, the highest limit is 64',
    ],
    [
      'nowhere, where only other builds are',
      { builds: ['sha256:a'] },
      [place({ build: 'sha256:b' })],
      'False OtherBuild',
      'none of 1 runtime with the base model smollm2 can hold it: 1 with another build of the base model',
    ],
    [
      'nowhere, where all refused its format; most say why',
      {},
      [...many(2, { failure: 'ADAPTER_DORA' }), place({ isClosed: true })],
      'False Refused',
      'none of 3 runtimes with the base model smollm2 can hold it: 2 that refused it, 1 cordoned or held',
    ],
    [
      'nowhere, where a runtime says a reason that every object has as a member',
      {},
      [place({ failure: 'constructor' })],
      'False Refused',
      'none of 1 runtime with the base model smollm2 can hold it: 1 that refused it',
    ],
    [
      'where it fits, with what speaks against the others',
      { memoryBytes: 24 * MiB, selector: site('a') },
      [...many(3), place({ memoryBytes: 16 * MiB }), place({ isClosed: true }), place(other)],
      'True Placeable',
      '3 of 5 connected runtimes with the base model smollm2 and the labels site=a can hold it; 1 cordoned or held, 1 with too little RAM',
    ],
    [
      'where nothing is known against it',
      { memoryBytes: 24 * MiB, rank: 8, builds: ['sha256:a'] },
      [place({ memoryBytes: 0, diskBytes: 0, maxRank: 0 })],
      'True Placeable',
      '1 of 1 connected runtimes with the base model smollm2 can hold it',
    ],
    [
      'beside stable where it does not wait: with a budget of one adapter the other one steps down',
      { memoryBytes: 20 * MiB, besideBytes: 20 * MiB },
      [place()],
      'True Placeable',
      '1 of 1 connected runtimes with the base model smollm2 can hold it',
    ],
  ])('is %s', (_, wanted, places, verdict, message) => {
    const { status, reason, message: told } = placementOf(placed(wanted), places);
    expect(`${status} ${reason}`).toBe(verdict);
    expect(told).toBe(message);
  });
});
