import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EncodeResult } from '../../engine/tasks.ts';
import { compareEncoded, compareTokens, editDistance, maxComparedTokens } from './compare.ts';

const counted = { promptTokens: 1, truncated: [] };
const embedding = (...rows: number[][]): EncodeResult => ({
  kind: 'embedding',
  rows: rows.map((row) => Float32Array.from(row)),
  ...counted,
});
const classification = (...labels: string[]): EncodeResult => ({
  kind: 'classification',
  labels: ['a', 'b'],
  rows: labels.map((label) => ({ label, logits: [], probabilities: [] })),
  ...counted,
});
const answer = (...ids: number[]) => ({ ids, total: ids.length });

/** The definition, without any table. */
const slowDistance = (a: readonly number[], b: readonly number[]): number => {
  const [x, ...as] = a;
  const [y, ...bs] = b;
  if (x === undefined || y === undefined) return a.length + b.length;
  if (x === y) return slowDistance(as, bs);
  return 1 + Math.min(slowDistance(as, bs), slowDistance(as, b), slowDistance(a, bs));
};
const short = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 6 });
const long = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 });

describe('the edit distance of two answers', () => {
  it('is what its definition says', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        expect(editDistance(a, b)).toBe(slowDistance(a, b));
      }),
    );
  });

  it('is a metric', () => {
    fc.assert(
      fc.property(long, long, long, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(JSON.stringify(a) === JSON.stringify(b));
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
        expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('comparing generated answers', () => {
  it.each([
    ['the same tokens', [1, 2, 3], [1, 2, 3], { equal: true, similarity: 1 }],
    ['one of four replaced', [1, 2, 3, 4], [1, 9, 3, 4], { equal: false, similarity: 0.75 }],
    ['one that goes on', [1, 2], [1, 2, 3, 4], { equal: false, similarity: 0.5 }],
    ['nothing in common', [1, 2], [3, 4], { equal: false, similarity: 0 }],
    ['nothing at all', [], [], { equal: true, similarity: 1 }],
    ['one that says nothing', [1], [], { equal: false, similarity: 0 }],
  ])('tells %s', (_, stable, canary, expected) => {
    expect(compareTokens(answer(...stable), answer(...canary))).toEqual(expected);
  });

  it('looks at the first tokens, and at how many there are in all', () => {
    const ids = Array.from({ length: maxComparedTokens }, (_, i) => i);
    expect(compareTokens({ ids, total: 600 }, { ids, total: 600 })).toEqual({ equal: true, similarity: 1 });
    expect(compareTokens({ ids, total: 600 }, { ids, total: 601 })).toEqual({ equal: false, similarity: 1 });
    const longer = { ids: [...ids, ...ids], total: 1024 };
    expect(compareTokens(longer, { ids, total: 512 })).toEqual({ equal: false, similarity: 1 });
  });
});

describe('comparing embeddings and classifications', () => {
  it.each([
    ['the same direction', [[1, 0]], [[2, 0]], { equal: true, similarity: 1 }],
    ['rounding', [[1, 1]], [[1, 1.0001]], { equal: true }],
    ['half a right angle', [[1, 0]], [[1, 1]], { equal: false, similarity: expect.closeTo(Math.SQRT1_2, 6) }],
    ['opposite directions', [[1, 0]], [[-1, 0]], { equal: false, similarity: 0 }],
    [
      'one text of two',
      [
        [1, 0],
        [0, 1],
      ],
      [
        [1, 0],
        [1, 0],
      ],
      { equal: false, similarity: 0.5 },
    ],
    ['other sizes', [[1, 0]], [[1]], { equal: false, similarity: 0 }],
    ['another number of texts', [[1, 0]], [], { equal: false, similarity: 0 }],
    ['no direction on either side', [[0, 0]], [[0, 0]], { equal: true, similarity: 1 }],
    ['no direction on one side', [[0, 0]], [[1, 0]], { equal: false, similarity: 0 }],
  ])('tells embeddings apart: %s', (_, stable, canary, expected) => {
    expect(compareEncoded(embedding(...stable), embedding(...canary))).toMatchObject(expected);
  });

  it('tells labels apart', () => {
    expect(compareEncoded(classification('a', 'b'), classification('a', 'b'))).toEqual({
      equal: true,
      similarity: 1,
    });
    expect(compareEncoded(classification('a', 'b'), classification('a', 'a'))).toEqual({
      equal: false,
      similarity: 0.5,
    });
  });

  it('finds nothing alike between a classification and an embedding', () => {
    expect(compareEncoded(classification('a'), embedding([1]))).toEqual({ equal: false, similarity: 0 });
  });
});
