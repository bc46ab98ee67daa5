import { describe, expect, it } from 'vitest';
import type { Sampling } from '../engine.ts';
import { seededRandom } from '../random.ts';
import { type BansOf, makeBans } from './bans.ts';
import { makeSampler } from './sampling.ts';

const all = { temperature: 1, topK: 0, topP: 1 };
const greedy = { ...all, temperature: 0 };
/** Token 0 is the likeliest, and so on. */
const logits = Float32Array.from([9, 8, 7, 6, 5, 4]);
const none: BansOf = { stops: [], ends: [], minTokens: 0, endsNever: [], words: [] };

const samplerOf = (of: Partial<BansOf>, sampling: Sampling = greedy, mask?: Uint32Array) =>
  makeSampler(sampling, seededRandom(3), {
    bans: makeBans({ ...none, ...of }),
    mask: mask === undefined ? undefined : () => mask,
  });
const taken = (count: number, ...of: Parameters<typeof samplerOf>): readonly number[] => {
  const sampler = samplerOf(...of);
  return Array.from({ length: count }, () => sampler(logits));
};
const maskOf = (...ids: number[]): Uint32Array =>
  Uint32Array.of(ids.reduce((bits, id) => bits | (1 << id), 0));

const samplings: readonly [string, Sampling][] = [
  ['greedily', greedy],
  ['drawn', all],
  ['of the likeliest two', { ...all, topK: 2 }],
  ['of half of the probability', { ...all, topP: 0.5 }],
  ['of those above a floor', { ...all, topP: 0.999, minP: 0.01 }],
];

describe.each(samplings)('a token that is picked %s', (_, sampling) => {
  it('is no end token before there are enough, and may be one right after', () => {
    for (let minTokens = 0; minTokens <= 40; minTokens += 8) {
      const ids = taken(minTokens + 60, { ends: [0, 1, 0], minTokens }, sampling);
      expect(ids.slice(0, minTokens).filter((id) => id < 2)).toEqual([]);
      expect(ids.slice(minTokens).some((id) => id < 2)).toBe(true);
    }
    expect(taken(5, { ends: [0], minTokens: 3 })).toEqual([1, 1, 1, 0, 0]);
  });

  it('completes no word that may not come', () => {
    const words = [[0], [1, 1], [2, 1, 3]];
    const text = taken(400, { words }, sampling).join('');
    expect(text).not.toMatch(/0|11|213/);
    expect(text).toMatch(/1/);
  });

  it('leaves the logits as they were', () => {
    const before = logits.slice();
    taken(3, { ends: [0], minTokens: 2, words: [[1]] }, sampling);
    expect(logits).toEqual(before);
  });

  it('is an end token where a structure leaves nothing else, and one that it allows where it does', () => {
    const of = { ends: [0, 2], minTokens: 5, endsNever: [0] };
    expect(taken(9, of, sampling, maskOf(0))).toEqual(Array(9).fill(0));
    expect(taken(9, of, sampling, maskOf(0, 4))).toEqual(Array(9).fill(4));
    expect(taken(9, of, sampling, maskOf(0, 2)).slice(0, 5)).not.toContain(4);
    expect(taken(9, of, sampling, maskOf(0, 2)).slice(5)).toEqual(Array(4).fill(2));
  });

  it('is a stop token before an end token, where a structure leaves both and nothing else', () => {
    const of = { stops: [4], ends: [0], minTokens: 3 };
    expect(taken(3, of, sampling, maskOf(0, 4))).toEqual([4, 4, 4]);
    expect(taken(3, of, sampling, maskOf(0))).toEqual([0, 0, 0]);
  });

  it('is an error that names bad_words where none may come, and the next one is picked as ever', () => {
    const sampler = samplerOf({ words: [[3], [0, 4]], ends: [0], minTokens: 1 }, sampling, maskOf(3));
    const error = expect.objectContaining({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('bad_words'),
    });
    expect(() => sampler(logits)).toThrow(error);
    expect(() => samplerOf({ words: [...logits.keys()].map((id) => [id]) }, sampling)(logits)).toThrow(error);
    const other = samplerOf({ words: [[3]] }, sampling, maskOf(3, 4));
    expect(other(logits)).toBe(4);
  });

  it('is LOGITS_NOT_FINITE where a logit is no number, also of one that may not come', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const broken = logits.slice();
      broken[2] = bad;
      for (const of of [{ words: [[2]] }, { ends: [2], minTokens: 1 }])
        expect(() => samplerOf(of, sampling)(broken)).toThrow(
          expect.objectContaining({ code: 'LOGITS_NOT_FINITE' }),
        );
    }
  });
});

it('tokens that came without being picked count, and complete words', () => {
  const sampler = samplerOf({ ends: [0], minTokens: 3, words: [[5, 0]] });
  for (const id of [4, 4, 4, 5]) sampler.came(id);
  expect(sampler(logits)).toBe(1);
  expect(sampler(logits)).toBe(0);
});

it('without anything that is banned there are no bans', () => {
  expect(makeBans(none)).toBeUndefined();
  expect(makeBans({ ...none, ends: [0] })).toBeUndefined();
  expect(makeBans({ ...none, words: [[1, 2]] })?.next()).toBeUndefined();
});

it('as many words as a request may have take a moment for each token of 262,144', () => {
  const wide = Float32Array.from({ length: 262_144 }, (_, id) => Math.sin(id));
  // All are near at each place but for their ends.
  const words = Array.from({ length: 2048 }, (_, word) => [...Array<number>(15).fill(7), word + 8]);
  const sampler = makeSampler(greedy, () => 0.5, { bans: makeBans({ ...none, words }) });
  for (let token = 0; token < 20; token += 1) sampler.came(7);
  for (let token = 0; token < 20; token += 1) {
    const id = sampler(wide);
    expect(id < 8 || id > 2055).toBe(true);
    for (let again = 0; again < 15; again += 1) sampler.came(7);
  }
});
