import { beforeEach, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { objectKey } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { total } from '../../../rollout/judge/counts.ts';
import { split } from '../../routing/plan.fixture.ts';
import { maxAnswers } from './feedback.ts';
import { RolloutCounts } from './rollout-counts.ts';
import { type JudgedArm, maxWeights } from './split-counts.ts';

const digest = fakeDigest('2');
const canary = { adapter: 'v2', uid: 'v2', digest, seed: '00', attempt: 1 };
const planned = (uid: string, more: Partial<SplitResource['body']> = {}) =>
  split('team-a/sql', { uid, canary, weight: 5, ...more });

let tally: RolloutCounts;
let changes = 0;
beforeEach(() => {
  changes = 0;
  tally = new RolloutCounts(() => changes++);
  tally.follow([planned('r1')]);
});

const answer = (
  id: string,
  {
    weight = 5,
    bucket = 7,
    arm = 'canary',
    uid = 'r1',
  }: { weight?: number; bucket?: number; arm?: JudgedArm; uid?: string } = {},
) => {
  const counted = weight === 0 ? {} : { counted: { attempt: 1, weight, bucket } };
  const at = { key: objectKey('team-a', 'sql'), uid, canaryDigest: digest, weight, ...counted };
  tally.answered({ id, split: at, rollout: 'sql', arm, digest }, 10);
};
const of = (weight: number) => {
  const report = tally.splits.reports('r1', digest, 1).find((one) => one.weight === weight);
  if (report === undefined) throw new Error(`nothing was counted at ${weight}`);
  return report;
};

describe('feedback', () => {
  it('counts for the arm and the bucket that answered', () => {
    answer('a');
    expect(tally.feedback.record('a', -2)).toEqual({
      rollout: 'sql',
      arm: 'canary',
      digest,
      isFirst: true,
      replaced: false,
    });
    const { canary: counts, stable } = of(5);
    expect([counts.feedbacks[7], counts.rewards[7], counts.rewardSquares]).toEqual([1, -2, 4]);
    expect(total(stable.feedbacks)).toBe(0);
  });

  it('of a namespace that the caller may not ask is as unknown as that for no answer', () => {
    answer('a');
    const isAllowed = (namespace: string): boolean => namespace === 'team-b';
    const told = (id: string): unknown => {
      try {
        return tally.feedback.record(id, 1, isAllowed);
      } catch (error) {
        return String(error).replaceAll(`"${id}"`, '*');
      }
    };
    expect(told('a')).toBe(told('b'));
    expect(tally.feedback.record('a', 1)).toMatchObject({ isFirst: true });
  });

  it('given again changes nothing, and another reward takes the place of the first', () => {
    answer('a');
    tally.feedback.record('a', 1);
    const [{ seq }, before] = [of(5), changes];
    expect(tally.feedback.record('a', 1)).toMatchObject({ isFirst: false, replaced: false });
    expect([of(5).seq, changes]).toEqual([seq, before]);
    expect(tally.feedback.record('a', 0)).toMatchObject({ isFirst: false, replaced: true });
    const { canary: counts } = of(5);
    expect([total(counts.feedbacks), total(counts.rewards), counts.rewardSquares]).toEqual([1, 0, 0]);
    expect(of(5).seq).toBeGreaterThan(seq);
    expect(changes).toBe(before + 1);
  });

  it('that comes late counts at the weight that answered, also when the canary is gone', () => {
    answer('a', { weight: 5 });
    answer('b', { weight: 50 });
    tally.feedback.record('a', 1);
    tally.follow([planned('r1', { weight: 50 })]);
    answer('c', { weight: 50 });
    const { canary: _, ...promoted } = planned('r1').body;
    tally.follow([{ ...planned('r1'), body: { ...promoted, weight: 0 } }]);
    tally.feedback.record('b', 3);
    expect([total(of(5).canary.rewards), total(of(50).canary.rewards)]).toEqual([1, 3]);
  });

  it('about an answer whose counts are gone is taken in, and counts nowhere', () => {
    answer('a', { weight: 1 });
    tally.feedback.record('a', 5);
    for (let weight = 2; weight <= maxWeights + 1; weight++) answer(`w${weight}`, { weight });
    answer('z', { weight: 1 });
    expect(tally.feedback.record('a', 6)).toMatchObject({ replaced: true });
    expect(of(1).canary).toMatchObject({ rewardSquares: 0 });
    expect(total(of(1).canary.rewards)).toBe(0);
    tally.follow([planned('r1', { canary: { ...canary, attempt: 2 } })]);
    expect(tally.feedback.record('z', 6)).toMatchObject({ isFirst: true });
    expect(tally.splits.reports('r1', digest, 2)).toEqual([]);
  });

  it('about stable is taken in while there is no canary', () => {
    answer('a', { weight: 0, arm: 'stable' });
    expect(tally.feedback.record('a', 1)).toMatchObject({ arm: 'stable', isFirst: true });
  });

  it('about an unknown answer says which runtime to ask, and for how long', () => {
    expect(() => tally.feedback.record('no', 1)).toThrow(
      expect.objectContaining({
        code: 'FEEDBACK_UNKNOWN',
        grpcStatus: 'NOT_FOUND',
        message: expect.stringMatching(/"no".*65536 answers.*the runtime that answered/),
      }),
    );
  });

  it('is taken for answers of rollouts that are still in the plan', () => {
    tally.follow([planned('r1'), planned('r2')]);
    answer('a');
    answer('b', { uid: 'r2' });
    tally.follow([planned('r2')]);
    expect(() => tally.feedback.record('a', 1)).toThrow(
      expect.objectContaining({ code: 'FEEDBACK_UNKNOWN' }),
    );
    expect(tally.feedback.record('b', 1)).toMatchObject({ isFirst: true });
    answer('late', { uid: 'r1' });
    expect(tally.feedback.size).toBe(1);
  });

  it('is taken for a bounded number of answers: the newest', () => {
    for (let i = 0; i <= maxAnswers; i++) answer(`a${i}`);
    expect(tally.feedback.size).toBe(maxAnswers);
    expect(() => tally.feedback.record('a0', 1)).toThrow(
      expect.objectContaining({ code: 'FEEDBACK_UNKNOWN' }),
    );
    expect(tally.feedback.record('a1', 1)).toMatchObject({ isFirst: true });
  });
});
