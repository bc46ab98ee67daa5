import { describe, expect, it } from 'vitest';
import { elsewhereToWire } from '../../src/control/rewards-wire.ts';
import { Report, RolloutReport } from '../../src/gen/adaptlet/control/v1/control.ts';
import { originOf } from '../../src/rollout/judge/elsewhere.ts';
import { exponentOf, lineThrough } from '../../test/bench/fleet/fit.ts';
import { bytesPerMonth, capacities, feedback, type Inputs, shardsFor } from './scale.ts';

const inputs: Inputs = {
  cpuBase: 0.1,
  cpuPerRuntime: 0.0005,
  rssBase: 124,
  rssPerRuntime: 0.9,
  reconnectPerRuntime: 0.01,
  idleBytesPerHour: 14_000,
  bytesPerStep: 500,
  writesBase: 6,
  writesPerRuntime: 0.03,
  objectBytes: 2_000,
};

describe('the arithmetic of scale', () => {
  it('says for each limit how many runtimes one operator takes', () => {
    expect(capacities(inputs, 1)).toEqual({ cpu: 1000, memory: 1000, reconnect: 1000, streams: 5000 });
    expect(capacities(inputs, 0.5)).toMatchObject({ cpu: 2000 });
  });

  it('takes as many operators as the nearest limit asks for', () => {
    expect(shardsFor(100_000, inputs, 1)).toBe(100);
    expect(shardsFor(100_001, inputs, 0.01)).toBe(101);
    expect(shardsFor(100_000, { ...inputs, rssPerRuntime: 0, reconnectPerRuntime: 0 }, 0.001)).toBe(20);
  });

  it('sums the bytes of a month', () => {
    expect(bytesPerMonth(inputs, 0)).toBe(730 * 14_000);
    expect(bytesPerMonth(inputs, 60)).toBe(730 * (14_000 + 30_000));
  });
});

describe('feedback about an answer of another runtime', () => {
  it('takes as many bytes on the wire as the page says', () => {
    const [processes, each] = [500, 16];
    const elsewhere = Array.from({ length: processes }, (_, process) =>
      elsewhereToWire({
        origin: originOf(`process ${process}`),
        weight: 5,
        seq: 8_000,
        rewards: [...Array(each).keys()].map((i) => ({
          number: 1_000 + i,
          bucket: i,
          arm: 'canary',
          reward: 0.5,
        })),
      }),
    );
    const rollouts = [{ ...RolloutReport.create(), elsewhere }];
    const bytes = Report.encode({ ...Report.create(), rollouts }).finish().length;
    expect(Math.round(bytes / (processes * each))).toBe(feedback.wireBytes);
  });
});

describe('a curve', () => {
  it('has the exponent that it grows with', () => {
    const power = (exponent: number) => [30, 100, 300].map((x) => [x, 7 * x ** exponent] as const);
    for (const exponent of [0, 0.5, 1, 2]) expect(exponentOf(power(exponent))).toBeCloseTo(exponent, 10);
  });

  it('has the line that misses it least', () => {
    expect(
      lineThrough([
        [100, 60],
        [300, 160],
      ]),
    ).toEqual({ base: 10, slope: 0.5 });
    const { base, slope } = lineThrough([
      [0, 1],
      [1, 0],
      [2, 5],
    ]);
    expect([base, slope]).toEqual([0, 2]);
  });
});
