import { beforeEach, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { objectKey } from '../../../api/names.ts';
import type { SplitResource } from '../../../plan/resources.ts';
import { total } from '../../../rollout/judge/counts.ts';
import { maxElsewhere, originOf, withElsewhere, withTold } from '../../../rollout/judge/elsewhere.ts';
import { reportsOf } from '../../../rollout/judge/reports.ts';
import { maxRewarded } from '../../../rollout/judge/rewarded.ts';
import { ToldRewards } from '../../../rollout/judge/told-rewards.ts';
import { split } from '../../routing/plan.fixture.ts';
import { maxRemembered } from './feedback.ts';
import { FeedbackKeys } from './feedback-keys.ts';
import { RolloutCounts } from './rollout-counts.ts';
import { type JudgedArm, maxWeights } from './split-counts.ts';

const digest = fakeDigest('2');
const canary = { adapter: 'v2', uid: 'v2', digest, seed: '00', attempt: 1 };
const planned = (uid: string, more: Partial<SplitResource['body']> = {}) =>
  split('team-a/sql', { uid, canary, weight: 5, ...more });
const kept = { own: 'f'.repeat(64), given: [] };
const nodeOf = (instance: string, own = kept, changed = () => undefined as void) => {
  const counts = new RolloutCounts(changed, changed, { instance, keys: new FeedbackKeys(own) });
  counts.follow([planned('r1')]);
  return counts;
};

let tally: RolloutCounts;
let changes = 0;
beforeEach(() => {
  changes = 0;
  tally = nodeOf('i1', kept, () => void changes++);
});

type Asked = { weight?: number; bucket?: number; arm?: JudgedArm; uid?: string; from?: RolloutCounts };
const requestOf = ({ weight = 5, bucket = 7, arm = 'canary', uid = 'r1' }: Asked) => {
  const counted = weight === 0 ? {} : { counted: { attempt: 1, weight, bucket } };
  const at = { key: objectKey('team-a', 'sql'), uid, canaryDigest: digest, weight, ...counted };
  return { split: at, rollout: 'sql', arm, digest };
};
/** The id of an answer that was given. */
const answer = (asked: Asked = {}): string => {
  const { from = tally } = asked;
  const id = from.feedback.idOf(requestOf(asked));
  from.answered(requestOf(asked), 10);
  return id;
};
const of = (weight: number, counts = tally) => {
  const report = counts.splits.reports('r1', digest, 1).find((one) => one.weight === weight);
  if (report === undefined) throw new Error(`nothing was counted at ${weight}`);
  return report;
};
const refused = (code: string) => expect.objectContaining({ code });

describe('feedback', () => {
  it('counts for the arm and the bucket that answered', () => {
    expect(tally.feedback.record(answer(), -2)).toEqual({
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
    const id = answer();
    const isAllowed = (namespace: string): boolean => namespace === 'team-b';
    const told = (given: string): unknown => {
      try {
        return tally.feedback.record(given, 1, isAllowed);
      } catch (error) {
        return String(error).replaceAll(`"${given}"`, '*');
      }
    };
    expect(told(id)).toBe(told('b'));
    expect(tally.feedback.record(id, 1)).toMatchObject({ isFirst: true });
  });

  it('given again changes nothing, and another reward takes the place of the first', () => {
    const id = answer();
    tally.feedback.record(id, 1);
    const [{ seq }, before] = [of(5), changes];
    expect(tally.feedback.record(id, 1)).toMatchObject({ isFirst: false, replaced: false });
    expect([of(5).seq, changes]).toEqual([seq, before]);
    expect(tally.feedback.record(id, 0)).toMatchObject({ isFirst: false, replaced: true });
    const { canary: counts } = of(5);
    expect([total(counts.feedbacks), total(counts.rewards), counts.rewardSquares]).toEqual([1, 0, 0]);
    expect(of(5).seq).toBeGreaterThan(seq);
    expect(changes).toBe(before + 1);
  });

  it('that comes late counts at the weight that answered, also when the canary is gone', () => {
    const [a, b] = [answer({ weight: 5 }), answer({ weight: 50 })];
    tally.feedback.record(a, 1);
    tally.follow([planned('r1', { weight: 50 })]);
    answer({ weight: 50 });
    const { canary: _, ...promoted } = planned('r1').body;
    tally.follow([{ ...planned('r1'), body: { ...promoted, weight: 0 } }]);
    tally.feedback.record(b, 3);
    expect([total(of(5).canary.rewards), total(of(50).canary.rewards)]).toEqual([1, 3]);
  });

  it('about an answer whose counts are gone is taken in, and counts nowhere', () => {
    const a = answer({ weight: 1 });
    tally.feedback.record(a, 5);
    for (let weight = 2; weight <= maxWeights + 1; weight++) answer({ weight });
    const z = answer({ weight: 1 });
    expect(tally.feedback.record(a, 6)).toMatchObject({ replaced: true });
    expect(of(1).canary).toMatchObject({ rewardSquares: 0 });
    expect(total(of(1).canary.rewards)).toBe(0);
    tally.follow([planned('r1', { canary: { ...canary, attempt: 2 } })]);
    expect(tally.feedback.record(z, 6)).toMatchObject({ isFirst: true });
    expect(tally.splits.reports('r1', digest, 2)).toEqual([]);
  });

  it('may come before the answer is complete, also of the first one at a weight, and counts', () => {
    const id = tally.feedback.idOf(requestOf({ weight: 20 }));
    expect(tally.splits.reports('r1', digest, 1)).toEqual([]);
    expect(tally.feedback.record(id, 2)).toMatchObject({ isFirst: true });
    expect(tally.feedback.record(id, 2)).toMatchObject({ isFirst: false, replaced: false });
    tally.answered(requestOf({ weight: 20 }), 10);
    const { canary: counts } = of(20);
    expect([total(counts.requests), total(counts.feedbacks), total(counts.rewards)]).toEqual([1, 1, 2]);
  });

  it('is about one answer, also when the rollout left the plan and came back meanwhile', () => {
    const before = answer();
    tally.follow([], [planned('r1')]);
    tally.follow([planned('r1')]);
    const after = answer();
    expect(after).not.toBe(before);
    expect(tally.feedback.record(before, 9)).toMatchObject({ isFirst: true });
    expect(tally.feedback.record(before, 9)).toMatchObject({ isFirst: false });
    tally.feedback.record(after, 1);
    expect([total(of(5).canary.feedbacks), total(of(5).canary.rewards)]).toEqual([1, 1]);
  });

  it('about stable is taken in while there is no canary', () => {
    const id = answer({ weight: 0, arm: 'stable' });
    expect(tally.feedback.record(id, 1)).toMatchObject({ arm: 'stable', isFirst: true });
    expect(tally.feedback.record(id, 1)).toMatchObject({ isFirst: false, replaced: false });
  });

  it('about an id that is none says which runtimes know it', () => {
    expect(() => tally.feedback.record('no', 1)).toThrow(
      expect.objectContaining({
        code: 'FEEDBACK_UNKNOWN',
        grpcStatus: 'NOT_FOUND',
        message: expect.stringMatching(/"no".*runtime of the same fleet/),
      }),
    );
  });

  it('is taken for answers of rollouts that are still in the plan', () => {
    tally.follow([planned('r1'), planned('r2')]);
    const [a, b] = [answer(), answer({ uid: 'r2' })];
    tally.follow([], [planned('r1')]);
    expect(() => tally.feedback.record(a, 1)).toThrow(refused('FEEDBACK_UNKNOWN'));
    expect(tally.feedback.record(b, 1)).toMatchObject({ isFirst: true });
  });

  it('is remembered for a bounded number of answers; one that is not any more keeps the reward that it had', () => {
    const first = answer({ weight: 50 });
    const ids = Array.from({ length: maxRemembered }, () => answer());
    for (const id of [first, ...ids]) tally.feedback.record(id, 1);
    expect(tally.feedback.size).toBe(maxRemembered);
    const { seq } = of(50);
    expect(tally.feedback.record(first, 9)).toMatchObject({ isFirst: false, replaced: false });
    expect(of(50).seq).toBe(seq);
    const [second = ''] = ids;
    expect(tally.feedback.record(second, 2)).toMatchObject({ replaced: true });
    expect([total(of(5).canary.feedbacks), total(of(50).canary.feedbacks)]).toEqual([maxRemembered, 1]);
  });

  it('about an answer so long ago that nobody knows whether it had any is refused', () => {
    const [first, second] = [answer(), answer()];
    tally.feedback.record(first, 1);
    for (let i = 0; i < maxRewarded; i++) answer();
    tally.feedback.record(answer(), 1);
    expect(() => tally.feedback.record(second, 1)).toThrow(refused('FEEDBACK_UNKNOWN'));
    // What is remembered can still be replaced.
    expect(tally.feedback.record(first, 2)).toMatchObject({ replaced: true });
    expect([total(of(5).canary.feedbacks), total(of(5).canary.rewards)]).toEqual([2, 3]);
  });
});

describe('feedback about an answer of another runtime', () => {
  const judged = (nodes: Readonly<Record<string, RolloutCounts>>) => {
    const reports = Object.entries(nodes).flatMap(([node, counts]) =>
      counts.splits.reports('r1', digest, 1).map((one) => ({ ...one, node, instance: node })),
    );
    const told = Object.entries(nodes).map(([node, counts]) => ({
      node,
      instance: node,
      told: ToldRewards.of(counts.elsewhere.reports('r1', digest, 1)),
    }));
    return withElsewhere(reportsOf(reports), withTold(new Map(), told)).reports;
  };
  const rewardsOf = (reports: ReturnType<typeof judged>) =>
    [...reports.values()].map(({ node, canary: arm }) => [node, total(arm.feedbacks), total(arm.rewards)]);

  it('counts for the one that answered, and once when several are told', () => {
    const [one, two, three] = [nodeOf('one'), nodeOf('two'), nodeOf('three')];
    const [a, b] = [answer({ from: one }), answer({ from: one })];
    answer({ from: two });
    expect(two.feedback.record(a, 1)).toMatchObject({ rollout: 'sql', arm: 'canary', digest, isFirst: true });
    expect(two.feedback.record(a, 1)).toMatchObject({ isFirst: false, replaced: false });
    expect(two.feedback.record(a, 3)).toMatchObject({ replaced: true });
    three.feedback.record(a, 3);
    three.feedback.record(b, 4);
    expect(rewardsOf(judged({ one, two, three }))).toEqual([
      ['one', 2, 7],
      ['two', 0, 0],
    ]);
    // The one that answered is told as well, late.
    one.feedback.record(a, 3);
    expect(rewardsOf(judged({ one, two, three }))[0]).toEqual(['one', 2, 7]);
    expect(total(of(5, two).canary.feedbacks)).toBe(0);
  });

  it('of an earlier process of the same node is taken in after a restart', () => {
    const before = nodeOf('before');
    const id = answer({ from: before });
    const now = nodeOf('now');
    expect(now.feedback.record(id, 2)).toMatchObject({ isFirst: true });
    expect(now.elsewhere.reports('r1', digest, 1)).toMatchObject([
      {
        origin: originOf('before'),
        weight: 5,
        rewards: [{ number: 0, bucket: 7, arm: 'canary', reward: 2 }],
      },
    ]);
  });

  it('is refused where the keys are others', () => {
    const foreign = nodeOf('one', { own: '0'.repeat(64), given: [] });
    expect(() => tally.feedback.record(answer({ from: foreign }), 1)).toThrow(refused('FEEDBACK_UNKNOWN'));
  });

  it('of another attempt counts nowhere', () => {
    const id = answer({ from: nodeOf('one') });
    tally.follow([planned('r1', { canary: { ...canary, attempt: 2 } })]);
    expect(tally.feedback.record(id, 1)).toMatchObject({ isFirst: true });
    expect(tally.elsewhere.reports('r1', digest, 2)).toEqual([]);
  });

  it('is kept for a bounded number of answers, and refused beyond; another attempt has room', () => {
    const one = nodeOf('one');
    for (let i = 0; i < maxElsewhere; i++) tally.feedback.record(answer({ from: one }), 1);
    const id = answer({ from: one });
    expect(() => tally.feedback.record(id, 1)).toThrow(refused('FEEDBACK_FULL'));
    expect(tally.elsewhere.reports('r1', digest, 1)[0]?.rewards).toHaveLength(maxElsewhere);
    tally.follow([planned('r1', { canary: { ...canary, attempt: 2 } })]);
    const at = { key: objectKey('team-a', 'sql'), uid: 'r1', canaryDigest: digest, weight: 5 };
    const next = nodeOf('two').feedback.idOf({
      split: { ...at, counted: { attempt: 2, weight: 5, bucket: 0 } },
      arm: 'canary',
      digest,
    });
    expect(tally.feedback.record(next, 1)).toMatchObject({ isFirst: true });
    expect(tally.elsewhere.reports('r1', digest, 2)).toHaveLength(1);
  });
});

it('an id that was signed with the right key for an answer that this process did not give is refused', () => {
  answer();
  // Another process with this one's name and key, as one that lies would have it.
  const liar = nodeOf('i1');
  answer({ from: liar });
  const id = answer({ from: liar });
  expect(() => tally.feedback.record(id, 1)).toThrow(refused('FEEDBACK_UNKNOWN'));
});
