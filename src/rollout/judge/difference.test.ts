import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buckets } from './counts.ts';
import { differenceOf, type Pair } from './difference.ts';

type Row = {
  readonly stratum: number;
  readonly arm: 'stable' | 'canary';
  readonly bucket: number;
  readonly y: number;
};

const pairsOf = (rows: readonly Row[]): Pair[] => {
  const empty = () => ({
    counts: Array.from({ length: buckets }, () => 0),
    sums: Array.from({ length: buckets }, () => 0),
    squares: 0,
  });
  const pairs = Array.from({ length: 1 + Math.max(...rows.map((row) => row.stratum)) }, () => ({
    stable: empty(),
    canary: empty(),
  }));
  for (const { stratum, arm, bucket, y } of rows) {
    const sums = pairs[stratum]![arm];
    sums.counts[bucket]! += 1;
    sums.sums[bucket]! += y;
    sums.squares += y * y;
  }
  return pairs;
};
const row = (stratum: number, arm: 'stable' | 'canary', bucket: number, y: number): Row => ({
  stratum,
  arm,
  bucket,
  y,
});

const rows: readonly Row[] = [
  row(0, 'stable', 1, 0),
  row(0, 'stable', 1, 1),
  row(0, 'stable', 5, 0.5),
  row(0, 'stable', 9, 0),
  row(0, 'canary', 1, 1),
  row(0, 'canary', 2, 2),
  row(0, 'canary', 2, 1.5),
  row(1, 'stable', 1, 4),
  row(1, 'stable', 5, 3),
  row(1, 'stable', 9, 4.5),
  row(1, 'canary', 1, 5),
  row(1, 'canary', 7, 4),
  row(1, 'canary', 7, 6),
  row(1, 'canary', 2, 3.5),
];

describe('difference of the arms', () => {
  it('is that of least squares with an intercept for each stratum, as matrices give it', () => {
    // (X'X)^-1 of 14 rows and 3 columns, solved separately: coefficient, residual and restricted sums of squares.
    const found = differenceOf(pairsOf(rows));
    expect(found?.value).toBeCloseTo(0.958333333, 8);
    expect(found?.size).toBeCloseTo(2 * 3.428571429, 8);
    // Restricted sum of squares 9.285714 over 12 degrees of freedom and W: the score test of "no difference".
    expect(found?.variance(0)).toBeCloseTo(0.225694444, 8);
    expect(found?.observations).toEqual({ stable: 7, canary: 7 });
  });

  it('has the cluster-robust variance CR2 where that is the larger one', () => {
    const exact = differenceOf(
      pairsOf([
        row(0, 'stable', 0, 0),
        row(0, 'stable', 0, 0),
        row(0, 'stable', 1, 1),
        row(0, 'stable', 1, 1),
        row(0, 'canary', 0, 0),
        row(0, 'canary', 0, 0),
        row(0, 'canary', 1, 4),
        row(0, 'canary', 1, 4),
      ]),
    );
    // Residuals +-0.5 and +-2 in clusters of 2: sums of scores squared 8.5, W = 2, each cluster is half of its arm.
    expect(exact?.variance(1.5)).toBeCloseTo(8.5 / 0.5 / 2 ** 2, 10);
    // The variance of independent requests: residual sum of squares 17 over 8 - 2, over W.
    expect(exact?.designEffect).toBeCloseTo(4.25 / (17 / 6 / 2), 10);
    // The score test, far from its hypothesis: (17 + W * 10 ** 2) / 7, times a design effect of 3, over W.
    expect(exact?.variance(11.5)).toBeCloseTo(((17 + 200) / 7) * (3 / 2), 10);
  });

  it('has the design effect of the arm that matters: few requests of few callers', () => {
    const found = differenceOf(
      pairsOf([
        ...Array.from({ length: 12 }, (_, i) => row(0, 'stable', i, i % 2 === 0 ? 1 : -1)),
        ...Array.from({ length: 4 }, (_, i) => row(0, 'canary', i < 2 ? 1 : 2, i < 2 ? 2 : -2)),
      ]),
    );
    // W = 3; scores squared 12 * 0.25 ** 2 / (11 / 12) and 2 * 3 ** 2 / 0.5; 28 over 14 degrees of freedom.
    const robust = (12 * 0.25 ** 2 * (12 / 11) + 36) / 3 ** 2;
    expect(found?.designEffect).toBeCloseTo(robust / (28 / 14 / 3), 10);
  });

  it('does not blame the canary for a slow node that sends it more requests', () => {
    const many = (stratum: number, arm: 'stable' | 'canary', n: number, y: number): Row[] =>
      Array.from({ length: n }, (_, i) => row(stratum, arm, i % buckets, y + (i % 2)));
    const found = differenceOf(
      pairsOf([
        ...many(0, 'stable', 400, 100),
        ...many(0, 'canary', 20, 100),
        ...many(1, 'stable', 20, 900),
        ...many(1, 'canary', 400, 900),
      ]),
    );
    expect(found?.value).toBeCloseTo(0, 8);
    expect((found?.means.canary ?? 0) - (found?.means.stable ?? 0)).toBeGreaterThan(700);
  });

  it('ignores strata that have one arm only', () => {
    const alone = Array.from({ length: 50 }, (_, i) => row(2, 'canary', i, 77));
    expect(differenceOf(pairsOf([...rows, ...alone]))?.value).toBeCloseTo(0.958333333, 8);
    expect(differenceOf(pairsOf(alone))).toBeUndefined();
  });

  it('changes its sign and nothing else when the arms are exchanged', () => {
    const observation = fc.record({
      stratum: fc.nat(2),
      arm: fc.constantFrom('stable' as const, 'canary' as const),
      bucket: fc.nat(buckets - 1),
      y: fc.integer({ min: -5, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(observation, { minLength: 4, maxLength: 40 }), (drawn) => {
        const found = differenceOf(pairsOf(drawn));
        const other = differenceOf(
          pairsOf(
            drawn.map((r) => ({ ...r, arm: r.arm === 'stable' ? ('canary' as const) : ('stable' as const) })),
          ),
        );
        if (found === undefined) {
          expect(other).toBeUndefined();
          return;
        }
        expect(other?.value).toBeCloseTo(-found.value, 8);
        expect(other?.variance(0)).toBeCloseTo(found.variance(0), 8);
      }),
    );
  });

  it('counts callers, not requests: one busy bucket is worth one', () => {
    const busy = Array.from({ length: 200 }, (_, i) => row(0, i % 2 === 0 ? 'stable' : 'canary', 3, i % 7));
    expect(differenceOf(pairsOf(busy))?.effectiveBuckets).toBe(1);
    const spread = Array.from({ length: 1280 }, (_, i) =>
      row(0, i < 640 ? 'stable' : 'canary', i % 64, i % 7),
    );
    expect(differenceOf(pairsOf(spread))?.effectiveBuckets).toBe(64);
  });
});
