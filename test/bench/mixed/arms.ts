import type { Precision } from '../../../src/runtime/adapter/conversion/precision.ts';
import { seededRandom } from '../../../src/runtime/engine/random.ts';
import type { Ask } from '../traffic/crowd.ts';
import { pick } from '../traffic/random-arrivals.ts';

/** Of every answer that is measured. */
export const answerTokens = 32;

/** How many rows decode together in an engine. */
export type Rows = 8 | 4 | 1;

/**
 * Adapters that requests are drawn from. `apart`: of those that no open request has, so that every row of a step has
 * another one and every row that joins brings one that was not there.
 */
export type Draw = { readonly from: readonly (string | null)[]; readonly apart: boolean };

export type Arm = {
  readonly name: string;
  readonly rows: Rows;
  readonly draw: Draw;
  /** Numbers of threads that it is measured with. */
  readonly threads: readonly number[];
};

/** Names of loaded adapters by rank, all of them on every linear. */
export type Ranks = {
  readonly 8: readonly string[];
  readonly 16: readonly string[];
  readonly 64: readonly string[];
};

const ofAllRanks = (ranks: Ranks): Draw => ({
  from: [...ranks[8].slice(0, ranks[16].length), ...ranks[16], ...ranks[64]],
  apart: true,
});

/** Adapters are float16 where nothing else is said. */
export const armsOf = (names: Readonly<Record<Precision, Ranks>>): readonly Arm[] => {
  const ranks = names.float16;
  const same = { from: ranks[8].slice(0, 1), apart: false };
  const mixed = { from: ranks[8], apart: true };
  const [both, two] = [[1, 2], [2]];
  return [
    { name: 'same8', rows: 8, draw: same, threads: both },
    { name: 'mixed8', rows: 8, draw: mixed, threads: both },
    { name: 'mixed8_of8', rows: 8, draw: { from: ranks[8].slice(0, 8), apart: false }, threads: two },
    { name: 'mixed_ranks8', rows: 8, draw: ofAllRanks(ranks), threads: two },
    { name: 'mixed_ranks8_int8', rows: 8, draw: ofAllRanks(names.int8), threads: two },
    { name: 'base8', rows: 8, draw: { from: [null], apart: false }, threads: two },
    { name: 'same4', rows: 4, draw: same, threads: both },
    { name: 'mixed4', rows: 4, draw: mixed, threads: both },
    { name: 'sequential8', rows: 1, draw: mixed, threads: both },
    { name: 'same_sequential', rows: 1, draw: same, threads: both },
  ];
};

/**
 * What the requests of a block ask for, one after the other: with the same seed the same prompts in every arm. The first
 * ones, which fill the rows, have answers of any length, so that rows end at different moments as they do after
 * a long time.
 */
export const asksOf = ({ rows, draw }: Arm, prompts: readonly (readonly number[])[], seed: number) => {
  const [contents, adapters] = [seededRandom(seed), seededRandom(seed + 0.5)];
  return (index: number, open: readonly Ask[]): Ask => {
    const prompt = pick(contents, prompts);
    const length = 1 + Math.floor(contents() * answerTokens);
    const free = draw.from.filter((name) => !draw.apart || open.every(({ adapter }) => adapter !== name));
    return { adapter: pick(adapters, free), prompt, maxTokens: index < rows ? length : answerTokens };
  };
};
