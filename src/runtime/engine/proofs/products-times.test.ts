import { describe, expect, it } from 'vitest';
import {
  areFaster,
  areKnownFaster,
  comparedTimes,
  pieceTokens,
  type StepTimes,
  timesByTurns,
  timesText,
} from './products-times.ts';

const of = (ratio: number, faster: number): StepTimes => ({ ratio, faster, slower: 15 - faster });

describe('which products are faster', () => {
  it.each([
    ['both steps are', of(0.6, 15), of(0.5, 15), true],
    ['one is, and the other is alike', of(1.01, 6), of(0.5, 15), true],
    ['one is in just as many rounds as chance does not give', of(0.9, 12), of(1, 7), true],
    ['one is in no more rounds than chance gives', of(0.9, 11), of(0.95, 11), false],
    ['one is, and the other is slower', of(1.2, 0), of(0.5, 15), false],
    [
      'one is, and the other is slower in just as many rounds as chance does not give',
      of(1.05, 3),
      of(0.5, 15),
      false,
    ],
    ['both are slower', of(1.2, 0), of(1.3, 0), false],
    ['both are the same', { ratio: 1, faster: 0, slower: 0 }, { ratio: 1, faster: 0, slower: 0 }, false],
  ])('where %s', (_, token, piece, expected) => {
    expect(areFaster({ token, piece })).toBe(expected);
  });

  it('is by the median of rounds, which one that somebody disturbed does not move', () => {
    expect(comparedTimes([8, 8, 800, 8, 8], [10, 10, 10, 10, 10])).toEqual({
      ratio: 0.8,
      faster: 4,
      slower: 1,
    });
  });

  it('was measured of the instruction set that never has to be', () => {
    const levels = ['vnni', 'avxvnni', 'avx2', 'dotprod'];
    expect(levels.filter((level) => areKnownFaster(level, [{ block: 32 }]))).toEqual(['vnni']);
    expect(areKnownFaster('vnni', [{ block: 32 }, { block: 64 }])).toBe(false);
  });
});

describe('times by turns', () => {
  it.each([
    ['neither graph moves it', 0, 0],
    ['one graph moves it now and then', 1, 7],
    ['the other does', 7, 1],
  ])('are none by a clock whose ticks are longer than steps: %s', async (_, ours, theirs) => {
    let now = 0;
    const graph = (perStep: number) => ({
      answer: () => {
        now += perStep;
        return Promise.resolve(new Float32Array());
      },
      release: () => undefined,
    });
    const ticks = (): number => Math.floor(now / 10) * 10;
    expect(await timesByTurns({ ours: graph(ours), theirs: graph(theirs) }, ticks)).toBeUndefined();
  });

  it('are those of one token and of a piece, neither always first, the first round of each not counted', async () => {
    let now = 0;
    const asked: string[] = [];
    const graph = (name: string, perStep: number, perToken: number) => ({
      answer: (ids: readonly number[], read: readonly number[] = []) => {
        // The first run of a graph takes long.
        const first = !asked.includes(`${name} ${ids.length} ${read.join()}`);
        asked.push(`${name} ${ids.length} ${read.join()}`);
        now += first ? 1000 : perStep + perToken * ids.length;
        return Promise.resolve(new Float32Array());
      },
      release: () => undefined,
    });
    const times = await timesByTurns({ ours: graph('ours', 0, 1), theirs: graph('theirs', 1, 1) }, () => now);
    expect(times).toEqual({
      token: { ratio: 0.5, faster: 15, slower: 0 },
      piece: { ratio: pieceTokens / (pieceTokens + 1), faster: 15, slower: 0 },
    });
    const tokens = asked.filter((each) => each.includes(' 1 0'));
    expect(tokens).toHaveLength(32);
    expect(tokens.slice(0, 4)).toEqual(['theirs 1 0', 'ours 1 0', 'ours 1 0', 'theirs 1 0']);
    expect(asked).toContain(`ours ${pieceTokens} ${pieceTokens - 1}`);
    expect(timesText(times!)).toBe(
      "0.50 of ONNX Runtime's time for one token (less in 15 of 15 rounds), 0.94 of ONNX Runtime's time for 16 tokens of a prompt (less in 15 of 15 rounds)",
    );
  });
});
