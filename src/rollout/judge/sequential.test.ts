import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArmCounter } from './counts.ts';
import { evenArm, stratum } from './judge.fixture.ts';
import { judge } from './judge.ts';
import { judgeSpecSchema } from './spec.ts';

const errorRatio = judgeSpecSchema.parse({ type: 'sequential', measure: 'errorRatio' });
const latency = judgeSpecSchema.parse({ type: 'sequential', measure: 'latency' });
const errors = (stable: [number, number], canary: [number, number]) => [
  stratum(evenArm(...stable), evenArm(...canary)),
];

describe('sequential judge', () => {
  it('waits for the smallest sample of both arms, and says how much it has', () => {
    const few = judge(errors([5000, 0], [99, 99]), errorRatio);
    expect(few.verdict).toBe('Running');
    expect(few.message).toBe('5000 observations of stable and 99 of the canary, 100 of each are needed');
    expect(judge(errors([99, 0], [5000, 0]), errorRatio).message).toMatch(/^99 observations of stable/);
    expect(judge([], errorRatio).message).toBe('no node has observations of both arms yet');
  });

  it('is inconclusive when the step ends without enough requests: low traffic is no success', () => {
    expect(judge(errors([5000, 0], [99, 99]), errorRatio, 'end').verdict).toBe('Inconclusive');
    expect(judge([], errorRatio, 'end').verdict).toBe('Inconclusive');
  });

  it('fails a canary with 3 % errors against 1 % at 1,000 requests each and not yet at 400', () => {
    expect(judge(errors([1000, 10], [1000, 30]), errorRatio).verdict).toBe('Fail');
    expect(judge(errors([400, 4], [400, 12]), errorRatio).verdict).toBe('Running');
  });

  it('fails a canary that fails every request at the smallest sample, although nothing varies', () => {
    const verdict = judge(errors([100, 0], [100, 100]), errorRatio);
    expect(verdict).toMatchObject({ verdict: 'Fail', statistic: 1 });
    expect(verdict.bound).toBeGreaterThan(0.5);
  });

  it('does not fail a canary for 1 % errors while a small stable has had none by chance', () => {
    expect(judge(errors([100, 0], [1900, 19]), errorRatio).verdict).toBe('Running');
  });

  it('puts up with what is allowed, and passes early when the canary surely stays below', () => {
    const allowing = judgeSpecSchema.parse({ ...errorRatio, allowedIncrease: 0.05 });
    expect(judge(errors([1000, 10], [1000, 30]), allowing).verdict).toBe('Pass');
    expect(judge(errors([1000, 10], [1000, 120]), allowing).verdict).toBe('Fail');
    expect(judge(errors([1000, 10], [1000, 55]), allowing).verdict).toBe('Running');
  });

  it('passes at the end of a step when there is a large enough sample and no proof of harm', () => {
    expect(judge(errors([1000, 10], [1000, 12]), errorRatio).verdict).toBe('Running');
    expect(judge(errors([1000, 10], [1000, 12]), errorRatio, 'end').verdict).toBe('Pass');
    expect(judge(errors([1000, 0], [1000, 0]), errorRatio).verdict).toBe('Running');
  });

  it('does not believe requests of one caller, however many', () => {
    const one = (failing: boolean): ArmCounter => {
      const arm = new ArmCounter();
      for (let i = 0; i < 1000; i += 1) {
        if (failing) arm.failed(17);
        else arm.answered(17, 100);
      }
      return arm;
    };
    const verdict = judge([stratum(one(false), one(true))], errorRatio);
    expect(verdict.verdict).toBe('Running');
    expect(verdict.message).toMatch(/too few callers/);
  });

  it('asks for more proof when callers are few: the same buckets prove it six times over, not once', () => {
    const arm = (buckets: number, errorsOf: (b: number) => number): ArmCounter => {
      const counter = new ArmCounter();
      for (let b = 0; b < buckets; b += 1)
        for (let i = 0; i < 200; i += 1) {
          if (i < errorsOf(b)) counter.failed(b);
          else counter.answered(b, 100);
        }
      return counter;
    };
    const verdict = (buckets: number) =>
      judge(
        [
          stratum(
            arm(buckets, () => 10),
            arm(buckets, (b) => (b % 2 === 0 ? 13 : 25)),
          ),
        ],
        errorRatio,
      ).verdict;
    // 3.4 standard errors: past the normal bound of 2.8, not past that of Student's t with 10 degrees of freedom, 3.6.
    expect(verdict(6)).toBe('Running');
    expect(verdict(36)).toBe('Fail');
  });

  it('takes the variance over users: errors of one busy user prove less than the same number of many', () => {
    const clustered = evenArm(900, 0);
    for (let i = 0; i < 30; i += 1) clustered.failed(5);
    const many = errors([900, 9], [930, 30]);
    expect(judge(many, errorRatio).verdict).toBe('Fail');
    expect(judge([stratum(evenArm(900, 9), clustered)], errorRatio).verdict).toBe('Running');
  });

  it('judges latency as a factor: statistic and bound are shares of the latency of stable', () => {
    const noisy = (factor: number) => (i: number) => factor * 100 * Math.exp(((i * 7) % 11) / 5 - 1);
    const slower = judge([stratum(evenArm(1000, 0, noisy(1)), evenArm(1000, 0, noisy(1.2)))], latency);
    expect(slower.verdict).toBe('Fail');
    expect(slower.statistic).toBeCloseTo(0.2, 2);
    expect(slower.bound).toBeGreaterThan(0);
    expect(slower.bound).toBeLessThan(0.2);
    const allowing = judgeSpecSchema.parse({ ...latency, allowedIncrease: 0.25 });
    expect(judge([stratum(evenArm(1000, 0, noisy(1)), evenArm(1000, 0, noisy(1.2)))], allowing).verdict).toBe(
      'Running',
    );
    // Twice as slow is allowed, 2.3 times is not.
    const doubling = judgeSpecSchema.parse({ ...latency, allowedIncrease: 1 });
    expect(judge([stratum(evenArm(1000, 0, noisy(1)), evenArm(1000, 0, noisy(2.3)))], doubling).verdict).toBe(
      'Fail',
    );
    const faster = judge([stratum(evenArm(1000, 0, noisy(1)), evenArm(1000, 0, noisy(0.8)))], latency);
    expect(faster.verdict).toBe('Pass');
  });

  it('takes a falling reward for harm, and a rising one when told so', () => {
    const rewarded = (mean: number): ArmCounter => {
      const arm = new ArmCounter();
      for (let i = 0; i < 640; i += 1) arm.rewarded(i % 64, mean + ((i * 13) % 7) / 10);
      return arm;
    };
    const reward = judgeSpecSchema.parse({ type: 'sequential', measure: 'reward' });
    const worse = [stratum(rewarded(0.5), rewarded(0.2))];
    expect(judge(worse, reward)).toMatchObject({ verdict: 'Fail', statistic: expect.closeTo(-0.3, 2) });
    expect(judge([stratum(rewarded(0.2), rewarded(0.5))], reward).verdict).toBe('Pass');
    expect(
      judge(
        [stratum(rewarded(0.2), rewarded(0.5))],
        judgeSpecSchema.parse({ ...reward, direction: 'Increase' }),
      ).verdict,
    ).toBe('Fail');
  });

  it('never turns a Fail into something better when the canary has more errors', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), fc.integer({ min: 1, max: 100 }), (stable, canary, more) => {
        const before = judge(errors([1000, stable], [500, canary]), errorRatio).verdict;
        const after = judge(errors([1000, stable], [500, canary + more]), errorRatio).verdict;
        if (before === 'Fail') expect(after).toBe('Fail');
        if (after === 'Pass') expect(before).toBe('Pass');
      }),
    );
  });
});
