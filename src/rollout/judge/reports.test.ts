import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { seedOf, armOf as splitArm } from '../splitter.ts';
import { ArmCounter, bucketOf, buckets, pooled, total } from './counts.ts';
import { armOf, happen, happening } from './judge.fixture.ts';
import {
  countersOf,
  mergeReports,
  type Reports,
  reportsOf,
  type SplitReport,
  splitReportSchema,
} from './reports.ts';

/** All reports that one process ever sends: one after each thing that happens. */
const lives = fc.array(
  fc.record({
    node: fc.constantFrom('n1', 'n2'),
    instance: fc.constantFrom('a', 'b'),
    weight: fc.constantFrom(5, 50),
    happenings: fc.array(fc.tuple(fc.constantFrom('stable', 'canary'), happening), {
      minLength: 1,
      maxLength: 6,
    }),
  }),
  { minLength: 1, maxLength: 4 },
);
type Life = typeof lives extends fc.Arbitrary<readonly (infer T)[]> ? T : never;

const reportsOfLife = ({ node, instance, weight, happenings }: Life): SplitReport[] => {
  const arms = { stable: new ArmCounter(), canary: new ArmCounter() };
  return happenings.map(([arm, what], i) => {
    happen(arms[arm], what);
    return {
      node,
      instance,
      weight,
      seq: i + 1,
      stable: arms.stable.snapshot(),
      canary: arms.canary.snapshot(),
    };
  });
};

/** Three sets of reports as they may arrive at three replicas: any part, in any order. Lives are distinct processes. */
const arrivals = lives.chain((drawn) => {
  const distinct = [...new Map(drawn.map((l) => [`${l.node} ${l.instance} ${l.weight}`, l])).values()];
  const all = distinct.flatMap(reportsOfLife);
  const some = fc.shuffledSubarray(all).map(reportsOf);
  return fc.record({
    a: some,
    b: some,
    c: some,
    all: fc.constant(all),
    shuffled: fc.shuffledSubarray(all, { minLength: all.length }),
  });
});
const asObject = (reports: Reports) => Object.fromEntries(reports);

describe('reports', () => {
  it('merge in any grouping and any order to the same, and a repeated report changes nothing', () => {
    fc.assert(
      fc.property(arrivals, ({ a, b, c }) => {
        expect(asObject(mergeReports(a, mergeReports(b, c)))).toEqual(
          asObject(mergeReports(mergeReports(a, b), c)),
        );
        expect(asObject(mergeReports(a, b))).toEqual(asObject(mergeReports(b, a)));
        expect(asObject(mergeReports(a, a))).toEqual(asObject(a));
      }),
    );
  });

  it('give the same counters in whatever order and however often they arrive', () => {
    fc.assert(
      fc.property(arrivals, ({ all, shuffled }) => {
        expect(countersOf(reportsOf([...shuffled, ...all]))).toEqual(countersOf(reportsOf(all)));
      }),
    );
  });

  it('count everything that happened exactly once', () => {
    fc.assert(
      fc.property(arrivals, ({ all }) => {
        const counted = countersOf(reportsOf(all)).flatMap(({ stable, canary }) => [stable, canary]);
        const newer = (a: SplitReport, b: SplitReport): boolean =>
          a.node === b.node && a.instance === b.instance && a.weight === b.weight && a.seq > b.seq;
        const last = all
          .filter((report) => !all.some((other) => newer(other, report)))
          .flatMap(({ stable, canary }) => [stable, canary]);
        for (const list of ['requests', 'errors', 'feedbacks', 'rewards'] as const)
          expect(total(counted.flatMap((arm) => [...arm[list]]))).toBe(
            total(last.flatMap((arm) => [...arm[list]])),
          );
      }),
    );
  });

  it('are pooled over the processes of a node, and keep nodes and weights apart', () => {
    const arm = armOf([{ bucket: 3 }]);
    const report = (node: string, instance: string, weight: number): SplitReport => ({
      node,
      instance,
      weight,
      seq: 1,
      stable: arm,
      canary: arm,
    });
    const reports = reportsOf([
      report('n2', 'a', 50),
      report('n1', 'a', 5),
      report('n1', 'b', 5),
      report('n1', 'b', 50),
    ]);
    const strata = countersOf(reports).map(({ node, weight, canary }) => [
      node,
      weight,
      total(canary.requests),
    ]);
    expect(strata).toEqual([
      ['n1', 50, 1],
      ['n1', 5, 2],
      ['n2', 50, 1],
    ]);
    expect(countersOf(reports, new Set(['n2'])).map(({ node }) => node)).toEqual(['n2']);
  });

  it('survive JSON, and have a schema that knows what is no report', () => {
    fc.assert(
      fc.property(arrivals, ({ all }) => {
        for (const report of all) {
          const read: unknown = JSON.parse(JSON.stringify(report));
          expect(splitReportSchema.parse(read)).toEqual(report);
        }
      }),
      { numRuns: 20 },
    );
    const arm = pooled([]);
    const report = { node: 'n', instance: 'i', weight: 5, seq: 0, stable: arm, canary: arm };
    expect(splitReportSchema.safeParse(report).success).toBe(true);
    const short = { ...arm, requests: arm.requests.slice(1) };
    expect(splitReportSchema.safeParse({ ...report, canary: short }).success).toBe(false);
    expect(splitReportSchema.safeParse({ ...report, weight: 101 }).success).toBe(false);
  });
});

describe('arm counter', () => {
  it('replaces a reward that was given before', () => {
    const arm = new ArmCounter();
    arm.rewarded(1, 0.25);
    arm.rewarded(1, 1, 0.25);
    expect([total(arm.feedbacks), total(arm.rewards), arm.rewardSquares]).toEqual([1, 1, 1]);
  });

  it('is a snapshot that later counts do not change', () => {
    const arm = armOf([{ bucket: 1, ms: 16 }]);
    const before = arm.snapshot();
    const text = JSON.stringify(before);
    happen(arm, { bucket: 1, ms: 1 });
    expect(JSON.stringify(before)).toBe(text);
  });
});

describe('bucket of a key', () => {
  const seed = seedOf('default', 'sql', fakeDigest('a'));
  const keys = Array.from({ length: 64_000 }, (_, i) => `user-${i}`);

  it('is even, also among the users of a canary at one percent', () => {
    for (const [weight, arm] of [
      [1, 'canary'],
      [50, 'stable'],
    ] as const) {
      const cells = Array.from({ length: buckets }, () => 0);
      const users = keys.filter((key) => splitArm(seed, key, weight) === arm);
      for (const key of users) cells[bucketOf(seed, key)]! += 1;
      const expected = users.length / buckets;
      const chiSquare = cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // 99.9 % quantile with 63 degrees of freedom.
      expect(chiSquare).toBeLessThan(103.4);
    }
  });

  it('never changes: counts of two versions of a runtime are added up', () => {
    expect(keys.slice(0, 6).map((key) => bucketOf(seed, key))).toMatchInlineSnapshot(`
      [
        38,
        28,
        28,
        6,
        51,
        12,
      ]
    `);
  });
});
