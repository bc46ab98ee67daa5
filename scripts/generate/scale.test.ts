import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { elsewhereToWire } from '../../src/control/rewards-wire.ts';
import { Report, RolloutReport } from '../../src/gen/adaptlet/control/v1/control.ts';
import { originOf } from '../../src/rollout/judge/elsewhere.ts';
import { exponentOf, lineThrough } from '../../test/bench/fleet/fit.ts';
import { fleetReport, type Point } from '../../test/bench/fleet/reported.ts';
import { variant } from '../../test/bench/report.ts';
import {
  bytesPerMonth,
  capacities,
  feedback,
  type Inputs,
  inputsOf,
  limits,
  scaleText,
  shardsFor,
} from './scale.ts';

const inputs: Inputs = {
  cpuBase: 0.1,
  cpuPerRuntime: 0.0005,
  rssBase: 124,
  rssPerRuntime: 0.9,
  reconnectPerRuntime: 0.01,
  idleBytesPerHour: 14_000,
  bytesPerStep: 500,
  messagesPerStep: 3,
  writesBase: 5,
  writesPerRuntime: 0.03,
  objectBytes: 2_000,
};

describe('the arithmetic of scale', () => {
  it('says for each limit how many runtimes one operator takes', () => {
    expect(capacities(inputs, 1)).toEqual({
      cpu: 1000,
      memory: 1000,
      reconnect: 1000,
      writes: Infinity,
      streams: 5000,
    });
    expect(capacities(inputs, 0.5)).toMatchObject({ cpu: 2000 });
  });

  it('counts writes of steps, of a flap, and of runtimes up to their budget', () => {
    const many = { ...inputs, writesBase: 9, flapWrites: 1 };
    // 9 a second leave 1, which is less than the budget.
    expect(capacities(many, 1).writes).toBe(33);
    expect(capacities(many, 2).writes).toBe(0);
    // 7 a second leave 3: enough for observations of runtimes, not for those of all kinds.
    expect(capacities({ ...inputs, writesBase: 7 }, 1).writes).toBe(100);
    // 1 + 8 / 60 leave room for all of it.
    expect(capacities(many, 1 / 60).writes).toBe(Infinity);
    expect(shardsFor(100_000, many, 1)).toBe(3031);
  });

  it('has the limit of memory that the chart sets', () => {
    const file = join(import.meta.dirname, '../../charts/adaptlet/values.yaml');
    // The defaults of the chart.
    const { operator } = parse(readFileSync(file, 'utf8')) as {
      readonly operator: { readonly resources: { readonly limits: { readonly memory: string } } };
    };
    expect(operator.resources.limits.memory).toBe(`${limits.mib / 1024}Gi`);
  });

  it('takes as many operators as the nearest limit asks for', () => {
    expect(shardsFor(100_000, inputs, 1)).toBe(100);
    expect(shardsFor(100_001, inputs, 0.01)).toBe(101);
    expect(shardsFor(100_000, { ...inputs, rssPerRuntime: 0, reconnectPerRuntime: 0 }, 0.001)).toBe(20);
  });

  it('sums the bytes of a month', () => {
    expect(bytesPerMonth(inputs, 0)).toEqual({ payload: 730 * 14_000, headers: 730 * 28_080 });
    expect(bytesPerMonth(inputs, 60)).toEqual({
      payload: 730 * (14_000 + 30_000),
      headers: 730 * (28_080 + 60 * 6 * 52),
    });
  });
});

/** A run of the bench in which what grows is in proportion to the runtimes. */
const run = (sizes: readonly number[], objects: readonly [number, number, number], failed = {}) => {
  const [adapters, rollouts, namespaces] = objects;
  const points = sizes.map((runtimes): Point => {
    const each = {
      apply_to_effective: runtimes,
      abort_to_effective: runtimes,
      operator_rss_mib: 200 + runtimes / 2,
      leader_cpu: runtimes / 1000,
      leader_cpu_ms_per_round: 10 + runtimes,
      api_writes_per_s: 5 + runtimes / 1000,
      commits_per_change: runtimes,
      body_bytes_per_change: 500 * runtimes,
      socket_bytes_per_node_change: 900,
      messages_from_runtimes_per_change: 2 * runtimes,
      compilations_per_change: 2,
      reconnect_all_s: runtimes / 100,
      idle_bytes_per_node_hour: 23_400,
      failover_s: 20,
      runtime_object_bytes: 2_000,
    };
    const results = Object.fromEntries(Object.entries(each).map(([key, value]) => [key, variant([value])]));
    const size = { runtimes, adapters, rollouts, namespaces };
    return { size, measured: { results, cpu: { all: 0.5, machine: 0.1 }, late: 0 } };
  });
  const settings = { rounds: 10, everySeconds: 15, idleSeconds: 60, heapMib: 410 };
  return fleetReport(points, settings, failed);
};

describe('the page about scale', () => {
  const small = run([30, 300], [500, 20, 5]);
  const own = inputsOf(small) ?? expect.fail();
  const page = scaleText({ small }, own);

  it('says of which size its lines are, and what a fleet took for which they are wrong', () => {
    const [head = ''] = page.split('## What was measured');
    expect(head).toContain('500 Adapters x 20 rollouts, up to 300 runtimes');
    expect(head).toContain('1,000 x 10,000 x 200 (runtimes x Adapters x rollouts) took 732 MiB and 64 s');
    expect(head).toContain('700 MiB and 10 s');
    expect(page).not.toContain('fleet-large.json');
    expect(page).not.toContain('### Counts of up to');
  });

  it('has headers of TCP and IP in the table and in the cost of an idle node', () => {
    // 730 h of 23,400 and 28,080 bytes.
    expect(page).toContain('| none: idle | 17.1 | 20.5 | 0.0376 | 0.376 |');
  });

  it('shows a counted curve with its exponents, and which size failed', () => {
    const counted = run([100, 300, 1000], [100, 4, 2], { failed_r3000: 'no memory' });
    const text = scaleText({ small, counted }, own);
    expect(text).toContain('[fleet-counted.json](../reference/performance/fleet-counted.json)');
    expect(text).toContain('### Counts of up to 1,000 runtimes');
    expect(text).toContain('| commits of a change | 100 | 300 | 1,000 | 1 |');
    expect(text).toContain('3,000 runtimes failed: no memory.');
  });

  it('shows a large fleet beside its goals, with what limited it, in the place of an earlier run', () => {
    const large = run([1000], [10_000, 200, 50]);
    const text = scaleText({ small, large }, own);
    expect(text).toContain('took 700 MiB and 10 s');
    expect(text).toContain('The limit was: none: 0.10 of');
    expect(text).toContain('| `results.operator_rss_mib.p99` | 700 | at most 512 | **not reached** |');
    expect(text).toContain('| `results.apply_to_effective.p99` | 1,000 | at most 1,000 | reached |');
  });

  it('is made of no report of one size', () => {
    expect(inputsOf(run([300], [500, 20, 5]))).toBeUndefined();
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
