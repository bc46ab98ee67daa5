import { describe, expect, it } from 'vitest';
import { type Arm, answerTokens, armsOf, asksOf, type Ranks } from '../bench/mixed/arms.ts';
import { blockOf, medianRatio, Samples } from '../bench/mixed/samples.ts';
import type { LotAsk, Peer } from '../bench/peers/peer.ts';
import { isAskedAgain, type Measured, wayOfTwo, waysOfOne } from '../bench/peers/ways.ts';
import type { Ask, Crowd } from '../bench/traffic/crowd.ts';

const ranks = (suffix: string): Ranks => {
  const names = (rank: number, count: number) =>
    Array.from({ length: count }, (_, i) => `r${rank}${suffix}-${i}`);
  return { 8: names(8, 16), 16: names(16, 4), 64: names(64, 4) };
};
const arms = armsOf({ float16: ranks(''), int8: ranks('q') });
const armNamed = (name: string): Arm => arms.find((arm) => arm.name === name)!;
const prompts = [[1], [2], [3], [4]];

/** The first requests of a block, of which the latest twelve are open. */
const played = (name: string, seed = 1, count = 200): readonly Ask[] => {
  const next = asksOf(armNamed(name), prompts, seed);
  const asks: Ask[] = [];
  for (let i = 0; i < count; i += 1) asks.push(next(i, asks.slice(-11)));
  return asks;
};

describe('requests of a block', () => {
  it('have adapters that differ among all that are open, of one rank or of three', () => {
    for (const name of ['mixed8', 'mixed_ranks8', 'mixed_ranks8_int8', 'mixed4', 'sequential8']) {
      const adapters = played(name).map(({ adapter }) => adapter);
      for (let i = 12; i < adapters.length; i += 1) expect(new Set(adapters.slice(i - 12, i)).size).toBe(12);
    }
    const kinds = (name: string) => new Set(played(name).map(({ adapter }) => adapter?.split('-')[0]));
    expect(kinds('mixed_ranks8')).toEqual(new Set(['r8', 'r16', 'r64']));
    expect(kinds('mixed_ranks8_int8')).toEqual(new Set(['r8q', 'r16q', 'r64q']));
  });

  it('have one adapter, or none, where that is what is compared with', () => {
    expect(new Set(played('same8').map(({ adapter }) => adapter))).toEqual(new Set(['r8-0']));
    expect(new Set(played('same_sequential').map(({ adapter }) => adapter))).toEqual(new Set(['r8-0']));
    expect(new Set(played('base8').map(({ adapter }) => adapter))).toEqual(new Set([null]));
  });

  it('have the same prompts in every arm of a round, and others in the next round', () => {
    const contents = (name: string, seed: number) => played(name, seed).map(({ prompt }) => prompt);
    expect(contents('mixed8', 1)).toEqual(contents('same8', 1));
    expect(contents('mixed8', 1)).toEqual(contents('sequential8', 1));
    expect(contents('mixed8', 2)).not.toEqual(contents('mixed8', 1));
  });

  it('end at different moments from the beginning on: the first rows are short, all others are not', () => {
    const lengths = played('mixed8').map(({ maxTokens }) => maxTokens);
    expect(new Set(lengths.slice(0, 8)).size).toBeGreaterThan(4);
    expect(Math.max(...lengths.slice(0, 8))).toBeLessThanOrEqual(answerTokens);
    expect(new Set(lengths.slice(8))).toEqual(new Set([answerTokens]));
  });
});

describe('speeds of arms', () => {
  /** A block in which so many tokens come in a second after the rows are full. */
  const crowdOf = (arm: Arm, tokens: number): Crowd => {
    const { skip, answers } = blockOf(arm);
    const one = { adapter: null, prompt: [], maxTokens: 0, askedMs: 0 };
    return {
      asked: Array.from({ length: answers }, (_, i) => ({
        ...one,
        tokenMs: i === 0 ? Array.from({ length: tokens }, () => 500) : [],
        doneMs: i < skip ? 0 : 1000,
      })),
      turnedAway: 0,
      openAfter: Array.from({ length: answers }, () => arm.rows),
    };
  };
  const samplesOf = (speeds: Readonly<Record<string, readonly number[]>>): Samples => {
    const samples = new Samples();
    for (const [name, values] of Object.entries(speeds))
      for (const tokens of values) samples.add(armNamed(name), crowdOf(armNamed(name), tokens));
    return samples;
  };

  it('are compared round by round', () => {
    expect(medianRatio([10, 40, 90], [10, 20, 30])).toBe(2);
    expect(medianRatio([], [10])).toBeUndefined();
    expect(samplesOf({ mixed8: [10, 40, 90], same8: [10, 20, 30] }).speedUp('mixed8', 'same8')).toBe(2);
  });

  it('are compared with the fastest of several ways', () => {
    const samples = samplesOf({ mixed8: [100], same8: [80], same_sequential: [200] });
    expect(samples.speedUpOverBest('mixed8', ['same8', 'same_sequential'])).toBe(0.5);
    expect(samples.speedUpOverBest('mixed8', ['same8', 'base8'])).toBe(1.25);
    expect(samples.speedUpOverBest('mixed8', ['base8'])).toBeUndefined();
  });

  it('of blocks with rows that nobody waited for are told', () => {
    const samples = samplesOf({ same8: [1, 1] });
    expect(samples.blocksNotFull).toBe(0);
    samples.add(armNamed('same8'), {
      ...crowdOf(armNamed('same8'), 1),
      openAfter: Array.from({ length: 24 }, () => 7),
    });
    expect(samples.blocksNotFull).toBe(1);
  });
});

describe('ways to serve a lot', () => {
  const asks: readonly LotAsk[] = ['a', 'b', 'c', 'd', 'e'].map((adapter, i) => ({ adapter, ids: [i] }));
  const said: string[] = [];
  /** Answers with the prompt; `slow` adapters take longer than everything else. */
  const peer = (
    name: string,
    options: { readonly slow?: string; readonly batches?: boolean } = {},
  ): Peer => ({
    pid: 0,
    load: async () => 0,
    unload: async () => undefined,
    close: async () => undefined,
    generate: async (adapter, ids) => {
      said.push(`${name} ${adapter}`);
      for (let turns = adapter === options.slow ? 20 : 1; turns > 0; turns -= 1)
        await new Promise((resolve) => setImmediate(resolve));
      return { atMs: [0], ids };
    },
    ...(options.batches === true && {
      generateTogether: async (some: readonly LotAsk[]) => {
        said.push(`${name} ${some.map(({ adapter }) => adapter).join('+')}`);
        return some.map(({ ids }) => ({ atMs: [0], ids }));
      },
    }),
  });
  const inOrder = [[0], [1], [2], [3], [4]];

  it('are one by one, and in one batch for a program that can', async () => {
    said.length = 0;
    const [oneByOne, together, ...more] = waysOfOne('p', peer('p', { batches: true }));
    expect((await oneByOne?.run(asks, 1))?.answers).toEqual(inOrder);
    expect((await together?.run(asks, 1))?.answers).toEqual(inOrder);
    expect(said).toEqual(['p a', 'p b', 'p c', 'p d', 'p e', 'p a+b+c+d+e']);
    expect([more.length, waysOfOne('p', peer('p')).map(({ how }) => how)]).toEqual([0, ['one_by_one']]);
  });

  it('are two processes that take the next request when they are free', async () => {
    said.length = 0;
    const { answers } = await wayOfTwo('p', [peer('p'), peer('q', { slow: 'b' })]).run(asks, 1);
    expect(answers).toEqual(inOrder);
    expect(said).toEqual(['p a', 'q b', 'p c', 'p d', 'p e']);
  });

  it('are two processes with a batch each where the program batches', async () => {
    said.length = 0;
    const { answers } = await wayOfTwo('p', [peer('p', { batches: true }), peer('q', { batches: true })]).run(
      asks,
      1,
    );
    expect(answers).toEqual(inOrder);
    expect(said).toEqual(['p a+b+c', 'q d+e']);
  });

  it('are asked again while they are near the fastest, and the best of a slow program once more', () => {
    const way = (program: string, how: Measured['how'], ms: number): Measured => ({ program, how, ms });
    const all = [
      way('us', 'together', 100),
      way('near', 'one_by_one', 200),
      way('slow', 'together', 201),
      way('slow', 'one_by_one', 900),
    ];
    expect(all.map((one) => isAskedAgain(one, all, 2))).toEqual([true, true, true, false]);
    expect(all.map((one) => isAskedAgain(one, all, 3))).toEqual([true, true, false, false]);
  });
});
