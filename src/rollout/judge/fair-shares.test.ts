import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ArmCounter, total } from './counts.ts';
import { fairFactors, maxMultiple, withFairShares } from './fair-shares.ts';
import { evenArm, stratum } from './judge.fixture.ts';
import { outliersOf } from './outliers.ts';
import type { Counters } from './reports.ts';

describe('fair shares', () => {
  it('leave equal nodes and a node alone as they are', () => {
    expect(fairFactors([100, 100, 100])).toEqual([1, 1, 1]);
    expect(fairFactors([100])).toEqual([1]);
    expect(fairFactors([100, 0, 0])).toEqual([1, 1, 1]);
    const counters = [1, 2, 3].map((n) => stratum(evenArm(100 * n, n), evenArm(100, n), 50, `n${n}`));
    expect(withFairShares(counters)).toEqual(counters);
  });

  it('give nobody more than a multiple of the median of the others, whatever there is', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000), { minLength: 2, maxLength: 20 }), (amounts) => {
        const factors = fairFactors(amounts);
        for (const [i, amount] of amounts.entries()) {
          const others = amounts.filter((other, j) => j !== i && other > 0).toSorted((a, b) => a - b);
          const factor = factors[i] ?? 0;
          if (amount === 0 || others.length === 0) expect(factor).toBe(1);
          else {
            const most = maxMultiple * (others[(others.length - 1) >> 1] ?? 0);
            expect(amount * factor).toBeCloseTo(Math.min(amount, most), 6);
          }
        }
      }),
    );
  });

  it('keep every mean of a node that is reduced, in both arms and at all its weights', () => {
    const loud = [5, 50].map((weight) =>
      stratum(evenArm(64_000, 640), evenArm(64_000, 1280), weight, 'loud'),
    );
    const counters = [
      ...loud,
      ...[1, 2, 3].map((n) => stratum(evenArm(640, 6), evenArm(640, 6), 50, `n${n}`)),
    ];
    const fair = withFairShares(counters).filter(({ node }) => node === 'loud');
    const requests = (arm: 'stable' | 'canary') =>
      fair.reduce((sum, one) => sum + total(one[arm].requests), 0);
    expect([requests('stable'), requests('canary')]).toEqual([2560, 2560]);
    for (const { stable, canary } of fair) {
      expect(total(canary.errors) / total(canary.requests)).toBeCloseTo(0.02, 9);
      expect(stable.latencyMs / (total(stable.requests) - total(stable.errors))).toBeCloseTo(100, 6);
      expect(total(stable.latency.counts)).toBeCloseTo(total(stable.requests) - total(stable.errors), 6);
    }
  });
});

const nodes = (count: number, canary: (i: number) => ArmCounter): Counters =>
  Array.from({ length: count }, (_, i) => stratum(evenArm(400, 4), canary(i), 50, `n${i}`));

describe('outliers', () => {
  it('are none among nodes that are alike, differ by chance, or differ by little', () => {
    expect(
      outliersOf(
        nodes(10, (i) => evenArm(400, 4 + i)),
        10,
      ),
    ).toEqual([]);
    expect(
      outliersOf(
        nodes(10, (i) => evenArm(400, 4, () => 100 + i)),
        10,
      ),
    ).toEqual([]);
  });

  it('are those who say something else than the others, the most extreme first', () => {
    const wrong = nodes(12, (i) => evenArm(400, i === 3 ? 300 : i === 5 ? 150 : 4));
    expect(outliersOf(wrong, 12).map(({ node }) => node)).toEqual(['n3', 'n5']);
    expect(outliersOf(wrong, 1).map(({ node }) => node)).toEqual(['n3']);
    const slow = nodes(12, (i) => evenArm(400, 4, (k) => (100 + (k % 30)) * (i === 7 ? 5 : 1)));
    expect(outliersOf(slow, 12)).toEqual([
      {
        node: 'n7',
        message: expect.stringMatching(/^latency of the canary differs by 4\.\d* from stable there/),
      },
    ]);
  });

  it('are none where fewer than five nodes can be compared', () => {
    expect(
      outliersOf(
        nodes(4, (i) => evenArm(400, i === 3 ? 300 : 4)),
        4,
      ),
    ).toEqual([]);
    const idle = nodes(10, (i) => (i < 4 ? evenArm(400, i === 3 ? 300 : 4) : evenArm(5, 0)));
    expect(outliersOf(idle, 10)).toEqual([]);
  });
});
