import { describe, expect, it } from 'vitest';
import { elsewhereToWire } from '../../src/control/rewards-wire.ts';
import { Report, RolloutReport } from '../../src/gen/adaptlet/control/v1/control.ts';
import { originOf } from '../../src/rollout/judge/elsewhere.ts';
import { exponentOf, lineThrough } from '../../test/bench/fleet/fit.ts';
import { fleetReport, type Point } from '../../test/bench/fleet/reported.ts';
import { variant } from '../../test/bench/report.ts';
import { inputsOf } from './capacity.ts';
import { feedback, scaleText } from './scale.ts';

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
      reconnect_all_s: 1 + runtimes / 100,
      idle_bytes_per_node_hour: 23_400,
      failover_s: 20,
      runtime_object_bytes: 2_000,
    };
    const results = Object.fromEntries(Object.entries(each).map(([key, value]) => [key, variant([value])]));
    const size = { runtimes, adapters, rollouts, namespaces };
    return { size, measured: { results, cpu: { all: 0.5, machine: 0.1 }, late: 0 } };
  });
  const settings = { rounds: 10, everySeconds: 15, idleSeconds: 60, quiet: 'writes' as const, heapMib: 410 };
  return fleetReport(points, settings, failed);
};

describe('the page about scale', () => {
  // As the saved one, which is of before reports had a date.
  const { date: _, ...small } = run([30, 300], [500, 20, 5]);
  const own = inputsOf(small) ?? expect.fail();
  const page = scaleText({ small }, own);

  it('says of which size its lines are, and of which changes it is older', () => {
    const [head = ''] = page.split('## What was measured');
    expect(head).toContain('500 Adapters x 20 rollouts, up to 300 runtimes.**');
    expect(page).not.toContain('fleet-large.json');
    expect(page).not.toContain('### Counts of more');
    expect(page).toContain('It was not measured again.');
    expect(scaleText({ small: { ...small, date: '2026-12-01' } }, own)).not.toContain('is from before');
    for (const adr of [76, 77, 82, 100]) expect(page).toContain(`[ADR ${adr}]`);
  });

  it('has the seconds of no runtime in the line of reconnects', () => {
    expect(page).toContain('reconnects  1 + 0.01 n  <= 10 s');
    expect(page).toContain('| a step an hour | over 1,000,000 | 1,650 | 900 | no limit | 5,000 | 112 |');
  });

  it('says what counts of canaries take, and how many runtimes they leave room for', () => {
    expect(page).toContain('memory      200 + 0.5 n + 0.00572 n c  <= 1,024 MiB');
    // 824 MiB of 0.5 + 20 x 6,000 bytes each.
    expect(page).toContain('| 20 | 1 | 0.114 | 114 | 1,340 |');
    expect(page).toContain('| 32 | 16 | 2.93 | 2,930 | 240 |');
  });

  it('says of which report its line of writes is, beside what a large fleet wrote', () => {
    const large = run([1000], [10_000, 200, 50]);
    const said = 'The formula takes the line of fleet.json, of a machine that kept up.';
    expect(page).not.toContain(said);
    const text = scaleText({ small, large }, own);
    expect(text).toContain(`${said} 1,000 x 10,000 x 200 wrote 6 times a second (fleet-large.json): the`);
    const results = { ...large.results, commits_per_change: variant([456]) };
    const overtaken = { ...large, results };
    expect(scaleText({ small, large: overtaken }, own)).toContain('(456 commits of each in place of 1,000)');
  });

  it('has headers of TCP and IP in the table and in the cost of an idle node', () => {
    // 730 h of 23,400 and 28,080 bytes.
    expect(page).toContain('| none: idle | 17.1 | 20.5 | 0.0376 | 0.376 |');
  });

  it('shows a counted curve with its exponents, and which size failed', () => {
    const counted = run([100, 300, 1000], [100, 4, 2], { failed_r3000: 'no memory' });
    const text = scaleText({ small, counted }, own);
    expect(text).toContain('[fleet-counted.json](../reference/performance/fleet-counted.json)');
    expect(text).toContain('Up to 1,000 runtimes with 100 Adapters and 4 rollouts');
    expect(text).toContain('| commits of a change | 100 | 300 | 1,000 | 1 | at most 1.1 | reached |');
    expect(text).toContain('3,000 runtimes failed: no memory.');
    expect(text).toContain('[counts](#counts-of-more-runtimes) were');
    expect(text).not.toContain('some changes took longer');
  });

  it('says of a counted curve where changes overtook each other', () => {
    const counted = run([100, 20_000, 30_000], [100, 4, 2]);
    const text = scaleText({ small, counted }, own);
    expect(text).toContain('With 20,000 and 30,000 runtimes some changes took longer');
  });

  it('shows a large fleet beside its goals, with what limited it and what its lines would give', () => {
    const large = run([1000], [10_000, 200, 50]);
    const text = scaleText({ small, large }, own);
    expect(text).toContain(
      'took 700 MiB and 11 s to be connected again, where the lines give\n700 MiB and 11 s',
    );
    expect(text).toContain('its 1,000 runtimes took 11 s');
    expect(text).toContain('The limit was: none: 0.10 of');
    expect(text).toContain('| `results.operator_rss_mib.p99` | 700 | at most 512 | **not reached** |');
    expect(text).toContain('| `results.apply_to_effective.p99` | 1,000 | at most 1,000 | reached |');
    expect(text).not.toContain('with fewer runtimes');
  });

  it('shows a large fleet of several sizes with a column for each', () => {
    const large = run([100, 500], [10_000, 200, 50]);
    const text = scaleText({ small, large }, own);
    expect(text).toContain('with fewer runtimes:\n\n| runtimes | 100 | 500 |');
    expect(text).not.toContain('The column of reconnects is not');
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
