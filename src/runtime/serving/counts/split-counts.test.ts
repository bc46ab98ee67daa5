import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../../api/names.ts';
import { buckets, total } from '../../../rollout/judge/counts.ts';
import { splitReportSchema } from '../../../rollout/judge/reports.ts';
import { maxRewarded } from '../../../rollout/judge/rewarded.ts';
import type { SplitAtRequest } from '../../routing/decision.ts';
import { maxCounters, maxWeights, SplitCounts } from './split-counts.ts';

const digest = fakeDigest('a');
const at = (
  weight: number,
  more: { uid?: string; bucket?: number; attempt?: number; canary?: Digest } = {},
) => {
  const { uid = 'r1', bucket = 0, attempt = 1, canary = digest } = more;
  const plain = { key: objectKey('default', 'sql'), uid, canaryDigest: canary, weight };
  return (weight === 0 ? plain : { ...plain, counted: { attempt, weight, bucket } }) satisfies SplitAtRequest;
};
const canaryOf = (attempt: number, canary = digest) => ({
  adapter: 'v2',
  uid: 'v2',
  digest: canary,
  seed: '00',
  attempt,
});
const following = (changed?: () => void) => {
  const counts = new SplitCounts(changed);
  counts.follow([{ uid: 'r1', canary: canaryOf(1) }]);
  return counts;
};

describe('the counts of a split', () => {
  it('add up, over all weights, to what was answered and failed while the canary had requests', () => {
    const request = fc.record({
      weight: fc.constantFrom(0, 5, 25, 50, 100),
      bucket: fc.nat(buckets - 1),
      arm: fc.constantFrom('stable' as const, 'canary' as const),
      failed: fc.boolean(),
      ms: fc.integer({ min: 1, max: 10_000 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 80 }), (requests) => {
        let changes = 0;
        const counts = following(() => changes++);
        for (const { weight, bucket, arm, failed, ms } of requests) {
          if (failed) counts.failed(at(weight, { bucket }), arm);
          else counts.answered(at(weight, { bucket }), arm, ms);
        }
        const seen = requests.filter(({ weight }) => weight > 0);
        const reports = counts.reports('r1', digest, 1);
        expect(changes).toBe(seen.length);
        expect(new Set(reports.map(({ weight }) => weight))).toEqual(
          new Set(seen.map(({ weight }) => weight)),
        );
        for (const report of reports) {
          expect(splitReportSchema.safeParse({ node: 'n', instance: 'i', ...report }).success).toBe(true);
        }
        for (const arm of ['stable', 'canary'] as const) {
          const of = seen.filter((r) => r.arm === arm);
          for (let bucket = 0; bucket < buckets; bucket++) {
            const here = of.filter((r) => r.bucket === bucket);
            const sum = (what: 'requests' | 'errors') =>
              reports.reduce((all, report) => all + (report[arm][what][bucket] ?? 0), 0);
            expect(sum('requests')).toBe(here.length);
            expect(sum('errors')).toBe(here.filter(({ failed }) => failed).length);
          }
          const answered = of.filter(({ failed }) => !failed);
          expect(reports.reduce((all, report) => all + report[arm].latencyMs, 0)).toBe(
            answered.reduce((all, { ms }) => all + ms, 0),
          );
        }
      }),
    );
  });

  it('have a seq that grows with every change, and snapshots that do not change', () => {
    const counts = following();
    const [first, second, third] = [5, 25, 5].map((weight) => {
      counts.answered(at(weight), 'canary', 10);
      return counts.reports('r1', digest, 1).find((report) => report.weight === weight);
    });
    expect([first?.seq, second?.seq, third?.seq]).toEqual([1, 2, 3]);
    expect([first, third].map((report) => total(report?.canary.requests ?? []))).toEqual([1, 2]);
    expect(counts.reports('r1', digest, 1)[0]).toBe(counts.reports('r1', digest, 1)[0]);
  });

  it('are those of one attempt of one canary: another one begins anew, and late answers of a former one count no more', () => {
    const counts = following();
    counts.answered(at(5), 'canary', 10);
    expect(counts.reports('r1', digest, 2)).toEqual([]);
    expect(counts.reports('r1', fakeDigest('b'), 1)).toEqual([]);
    counts.follow([{ uid: 'r1', canary: canaryOf(2) }]);
    counts.answered(at(5), 'canary', 10);
    expect(counts.reports('r1', digest, 1)).toEqual([]);
    expect(counts.reports('r1', digest, 2)).toEqual([]);
    counts.answered(at(5, { attempt: 2 }), 'canary', 10);
    expect(counts.reports('r1', digest, 2)).toHaveLength(1);
  });

  it('stay while there is no canary, for feedback that comes late, and go with their rollout', () => {
    const counts = following();
    counts.answered(at(5), 'canary', 10);
    counts.follow([{ uid: 'r1', canary: canaryOf(1) }]);
    counts.follow([{ uid: 'r1' }]);
    expect(counts.reports('r1', digest, 1)).toHaveLength(1);
    counts.follow([], ['r1']);
    expect(counts.reports('r1', digest, 1)).toEqual([]);
  });

  it('are of the weights that were counted last, of each rollout and over all', () => {
    const counts = new SplitCounts();
    const uids = Array.from({ length: 40 }, (_, i) => `r${i}`);
    counts.follow(uids.map((uid) => ({ uid, canary: canaryOf(1) })));
    const weightsOf = (uid: string) => counts.reports(uid, digest, 1).map(({ weight }) => weight);
    for (let weight = 1; weight <= maxWeights; weight++) counts.failed(at(weight, { uid: 'r0' }), 'stable');
    counts.failed(at(1, { uid: 'r0' }), 'stable');
    counts.failed(at(maxWeights + 1, { uid: 'r0' }), 'stable');
    expect(weightsOf('r0')).toHaveLength(maxWeights);
    expect(weightsOf('r0')).toContain(1);
    expect(weightsOf('r0')).not.toContain(2);
    for (const uid of uids) for (let w = 1; w <= maxWeights; w++) counts.failed(at(w, { uid }), 'stable');
    const sizes = uids.map((uid) => weightsOf(uid).length);
    expect(total(sizes)).toBe(maxCounters);
    expect([sizes[0], sizes.at(-1)]).toEqual([0, maxWeights]);
  });

  it('says that it is full before what is known of feedback takes too much of a report', () => {
    const counts = new SplitCounts();
    const uids = Array.from({ length: 17 }, (_, i) => `r${i}`);
    counts.follow(uids.map((uid) => ({ uid, canary: canaryOf(1) })));
    const rewardAll = (): void => {
      for (const uid of uids) {
        for (let weight = 1; weight <= maxWeights; weight += 1) counts.number(at(weight, { uid }));
        for (let given = maxWeights; given < maxRewarded; given += 1) counts.number(at(1, { uid }));
        for (let weight = 1; weight <= maxWeights; weight += 1) {
          const counter = counts.counterOf(uid, weight, maxRewarded - 1);
          if (counter === undefined || counter === 'Gone') throw new Error(`nothing is counted at ${weight}`);
          for (const number of [0, maxRewarded - 1])
            counts.rewarded(counter, { number, bucket: 0, arm: 'canary' }, 1);
        }
      }
    };
    expect(rewardAll).toThrow(expect.objectContaining({ code: 'FEEDBACK_FULL' }));
  });
});
