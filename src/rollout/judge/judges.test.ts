import { describe, expect, it } from 'vitest';
import { ArmCounter } from './counts.ts';
import { evenArm, stratum } from './judge.fixture.ts';
import { judge } from './judge.ts';
import { rankSum } from './mann-whitney.ts';
import { judgeReward } from './reward.ts';
import { LatencySketch } from './sketch.ts';
import { judgeSpecSchema, rewardSchema } from './spec.ts';
import { meets } from './threshold.ts';

describe('threshold judge', () => {
  it('holds a number against conditions as an analysis of Argo Rollouts does', () => {
    const success = { atMost: 0.01 };
    const failure = { atLeast: 0.05 };
    expect([0, 0.01, 0.02, 0.05].map((value) => meets(value, { success }))).toEqual([
      'Pass',
      'Pass',
      'Fail',
      'Fail',
    ]);
    expect([0.01, 0.05].map((value) => meets(value, { failure }))).toEqual(['Pass', 'Fail']);
    expect([0, 0.02, 0.06].map((value) => meets(value, { success, failure }))).toEqual([
      'Pass',
      'Inconclusive',
      'Fail',
    ]);
    expect(meets(1, { success: { atMost: 2 }, failure: { atLeast: 1 } })).toBe('Fail');
    expect(meets(Number.NaN, { success })).toBe('Inconclusive');
  });

  const threshold = (spec: object) => judgeSpecSchema.parse({ type: 'threshold', ...spec });
  const counters = [
    stratum(
      evenArm(1000, 10, (i) => 100 + (i % 10)),
      evenArm(500, 20, (i) => 200 + (i % 10)),
    ),
  ];

  it('reads the canary, its difference from stable and its ratio to it', () => {
    const value = 'errorRatio';
    const success = { atMost: 0.03 };
    expect(judge(counters, threshold({ value, success }))).toMatchObject({
      verdict: 'Fail',
      statistic: 0.04,
      bound: 0.03,
    });
    expect(judge(counters, threshold({ value, of: 'Difference', success }))).toMatchObject({
      verdict: 'Pass',
      statistic: expect.closeTo(0.03, 9),
    });
    expect(judge(counters, threshold({ value, of: 'Ratio', success })).statistic).toBeCloseTo(4, 9);
  });

  it('reads means and quantiles of the latency', () => {
    const p99 = judge(counters, threshold({ value: 'latencyP99', success: { atMost: 250 } }));
    expect(p99.verdict).toBe('Pass');
    expect(Math.abs((p99.statistic ?? 0) / 209 - 1)).toBeLessThan(0.021);
    expect(
      judge(counters, threshold({ value: 'latencyMean', success: { atMost: 250 } })).statistic,
    ).toBeCloseTo(204.5, 0);
  });

  it('waits for the smallest sample, and does not need stable for a number of the canary alone', () => {
    const alone = [stratum(new ArmCounter(), evenArm(500, 20))];
    const success = { atMost: 0.05 };
    expect(judge(alone, threshold({ value: 'errorRatio', success })).verdict).toBe('Pass');
    expect(judge(alone, threshold({ value: 'errorRatio', of: 'Ratio', success })).verdict).toBe('Running');
    expect(judge(alone, threshold({ value: 'reward', success }), 'end').verdict).toBe('Inconclusive');
  });

  it('fails a ratio that is infinite and is inconclusive about none at all', () => {
    const spec = threshold({ value: 'errorRatio', of: 'Ratio', success: { atMost: 2 } });
    expect(judge([stratum(evenArm(500, 0), evenArm(500, 5))], spec).verdict).toBe('Fail');
    expect(judge([stratum(evenArm(500, 0), evenArm(500, 0))], spec).verdict).toBe('Inconclusive');
  });

  it('needs a condition, and a condition needs a limit', () => {
    expect(judgeSpecSchema.safeParse({ type: 'threshold', value: 'errorRatio' }).success).toBe(false);
    expect(judgeSpecSchema.safeParse({ type: 'threshold', value: 'errorRatio', success: {} }).success).toBe(
      false,
    );
  });
});

const sketchOf = (values: readonly number[]): LatencySketch => {
  const sketch = new LatencySketch();
  for (const value of values) sketch.add(value);
  return sketch;
};

describe('Mann-Whitney judge', () => {
  const spec = judgeSpecSchema.parse({ type: 'mannWhitney' });
  const spread = (factor: number) => (i: number) => factor * 100 * Math.exp(((i * 7) % 11) / 5 - 1);

  it('counts pairs as by hand', () => {
    // 3 > 1, 2; 5 and 6 > 1, 2, 4. Variance 3 * 3 * 7 / 12.
    expect(rankSum(sketchOf([1, 2, 4]), sketchOf([3, 5, 6]))).toEqual({
      u: 8,
      expected: 4.5,
      variance: 5.25,
    });
    // Two groups of three ties: 9 / 12 * (7 - 48 / 30).
    const tied = rankSum(sketchOf([1, 1, 2]), sketchOf([1, 2, 2]));
    expect([tied.u, tied.expected]).toEqual([6, 4.5]);
    expect(tied.variance).toBeCloseTo(4.05, 12);
    expect(rankSum(sketchOf([]), sketchOf([1])).variance).toBe(0);
  });

  it('judges at the end of a step only', () => {
    const counters = [stratum(evenArm(600, 0, spread(1)), evenArm(600, 0, spread(1.3)))];
    expect(judge(counters, spec).verdict).toBe('Running');
    expect(judge(counters, spec, 'end').verdict).toBe('Fail');
  });

  it('passes equal latencies, faster ones, and slower ones within what is allowed', () => {
    const end = (factor: number, allowedIncrease = 0) =>
      judge(
        [stratum(evenArm(600, 0, spread(1)), evenArm(600, 0, spread(factor)))],
        judgeSpecSchema.parse({ ...spec, allowedIncrease }),
        'end',
      ).verdict;
    expect(end(1)).toBe('Pass');
    expect(end(0.7)).toBe('Pass');
    expect(end(1.3, 0.4)).toBe('Pass');
    expect(end(1.3, 0.1)).toBe('Fail');
  });

  it('does not take requests of one caller for many: what callers differ in counts', () => {
    const arm = (shift: number, requests: number): ArmCounter => {
      const counter = new ArmCounter();
      for (let b = 0; b < 64; b += 1)
        for (let i = 0; i < requests; i += 1)
          counter.answered(b, 100 * Math.exp(shift + ((b * 29) % 64) / 32 - 1 + ((i * 7) % 11) / 100));
      return counter;
    };
    const end = (shift: number) => judge([stratum(arm(0, 40), arm(shift, 40))], spec, 'end').verdict;
    // Six standard errors of 2,560 independent requests, one of 64 buckets.
    expect(end(0.1)).toBe('Pass');
    expect(end(0.4)).toBe('Fail');
  });

  it('compares within nodes: a canary that runs mostly on the slow one is not slower', () => {
    const node = (name: string, stable: number, canary: number, ms: number) =>
      stratum(evenArm(stable, 0, spread(ms)), evenArm(canary, 0, spread(ms)), 50, name);
    expect(judge([node('fast', 900, 150, 1), node('slow', 150, 900, 9)], spec, 'end').verdict).toBe('Pass');
  });
});

describe('sample-ratio judge', () => {
  const spec = judgeSpecSchema.parse({ type: 'sampleRatio' });

  it('accepts the split that the weights ask for, of many nodes with different weights', () => {
    const counters = [
      stratum(evenArm(9500, 0), evenArm(500, 0), 5),
      stratum(evenArm(510, 0), evenArm(490, 0), 50, 'n2'),
    ];
    expect(judge(counters, spec)).toMatchObject({
      verdict: 'Pass',
      statistic: 0.09,
      bound: expect.closeTo(0.090909, 5),
    });
  });

  it('holds when the canary got a fifth less than its weight', () => {
    const verdict = judge([stratum(evenArm(5000, 0), evenArm(4000, 0))], spec);
    expect(verdict.verdict).toBe('Inconclusive');
    expect(verdict.message).toBe(
      'the canary got 44.4 % of 9000 requests, its weights say 50 %, which is no chance',
    );
  });

  it('holds when nothing reaches the canary at all', () => {
    expect(judge([stratum(evenArm(2000, 0), new ArmCounter(), 20)], spec).verdict).toBe('Inconclusive');
  });

  it('does not cry wolf about one user who sends a tenth of all requests', () => {
    const canary = evenArm(4500, 0);
    for (let i = 0; i < 1000; i += 1) canary.answered(9, 100);
    expect(judge([stratum(evenArm(4500, 0), canary)], spec).verdict).toBe('Pass');
    // The same excess spread over all users is no chance.
    expect(judge([stratum(evenArm(4500, 0), evenArm(5500, 0))], spec).verdict).toBe('Inconclusive');
  });

  it('asks for more proof when callers are few', () => {
    const arms = { stable: new ArmCounter(), canary: new ArmCounter() };
    for (let b = 0; b < 30; b += 1)
      for (let i = 0; i < 1000; i += 1) arms[i < (b % 2 === 0 ? 582 : 498) ? 'canary' : 'stable'].failed(b);
    // 4.2 standard errors: past the normal bound of 4.0, not past that of Student's t with 29 degrees of freedom, 4.6.
    expect(judge([stratum(arms.stable, arms.canary)], spec).verdict).toBe('Pass');
  });

  it('says nothing about nodes where there is nothing to split, and waits for requests', () => {
    expect(judge([stratum(evenArm(5000, 0), evenArm(10, 0), 0)], spec).verdict).toBe('Running');
    expect(judge([stratum(evenArm(40, 0), evenArm(5, 0))], spec, 'end').verdict).toBe('Inconclusive');
  });
});

describe('reward judge', () => {
  const spec = rewardSchema.parse({ type: 'reward' });
  const rewarded = (count: number, mean: number): ArmCounter => {
    const arm = new ArmCounter();
    for (let i = 0; i < count; i += 1) arm.rewarded(i % 64, mean + ((i * 13) % 7) / 10 - 0.3);
    return arm;
  };

  it('decides for the better variant in either direction, and not before it is sure', () => {
    const verdict = (stable: number, canary: number) =>
      judgeReward([stratum(rewarded(640, stable), rewarded(640, canary))], spec).verdict;
    expect(verdict(0.5, 0.7)).toBe('Pass');
    expect(verdict(0.7, 0.5)).toBe('Fail');
    expect(verdict(0.5, 0.51)).toBe('Running');
  });

  it('ends inconclusive when no difference was shown', () => {
    expect(judgeReward([stratum(rewarded(640, 0.5), rewarded(640, 0.5))], spec, 'end').verdict).toBe(
      'Inconclusive',
    );
  });

  it('passes a canary that is no worse than is allowed', () => {
    const allowing = rewardSchema.parse({ type: 'reward', allowedDecrease: 0.2 });
    const counters = [stratum(rewarded(640, 0.5), rewarded(640, 0.48))];
    expect(judgeReward(counters, allowing).verdict).toBe('Pass');
    // Surely worse, and surely by no more than is allowed.
    const worse = [stratum(rewarded(640, 0.5), rewarded(640, 0.4))];
    expect([judgeReward(worse, allowing).verdict, judgeReward(worse, spec).verdict]).toEqual([
      'Pass',
      'Fail',
    ]);
    expect(judgeReward(counters, spec).verdict).toBe('Running');
  });

  it('reports each variant with a confidence sequence, also before there is enough to judge', () => {
    const { verdict, variants } = judgeReward([stratum(rewarded(70, 0.5), rewarded(1, 0.5))], spec);
    expect(verdict).toBe('Running');
    expect(variants.canary).toBeUndefined();
    // 70 values 0.2, 0.3 .. 0.8 ten times each: variance 2.8 / 69; 70 / 350 of the size where the bound is closest.
    const v = 7.936149 * 0.2;
    const margin = Math.sqrt((2.8 / 69 / 70) * (1 + 1 / v) * 2 * Math.log(Math.sqrt(v + 1) / 0.05));
    expect(variants.stable?.count).toBe(70);
    expect(variants.stable?.mean).toBeCloseTo(0.5, 9);
    const found = (variants.stable?.high ?? 0) - 0.5;
    // At least that of independent feedbacks; six buckets have two, which adds a little.
    expect(found).toBeGreaterThanOrEqual(margin - 1e-9);
    expect(found).toBeLessThan(1.3 * margin);
    expect((variants.stable?.high ?? 0) - 0.5).toBeCloseTo(0.5 - (variants.stable?.low ?? 0), 9);
  });

  it('never knows a mean better than so many independent feedbacks would', () => {
    const arm = new ArmCounter();
    // Good and bad cancel out in every bucket.
    for (let i = 0; i < 640; i += 1) arm.rewarded(i % 64, Math.floor(i / 64) % 2);
    const { variants } = judgeReward([stratum(arm, arm)], spec);
    expect((variants.stable?.high ?? 0) - 0.5).toBeGreaterThan(2 * Math.sqrt(0.25 / 640));
  });
});
