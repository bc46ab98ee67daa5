import { describe, expect, it } from 'vitest';
import type { Report } from '../../test/bench/report.ts';
import { goals } from './bench-goals.ts';
import { goalTable } from './goal-table.ts';

const report = (bench: string, parts: Partial<Report>): Report => ({
  bench,
  unit: 'ms',
  results: {},
  ratios: {},
  setup: {},
  machine: { cores: 2, cpu: 'c', node: 'v24', loadavg: 1 },
  ...parts,
});

describe('the table of goals', () => {
  it('has every goal, also those that no report has a number for', () => {
    const [, , ...rows] = goalTable([]);
    expect(rows).toHaveLength(goals.length);
    for (const row of rows) expect(row).toMatch(/ \| {2}\| {2}\| at (most|least) .+ \| not measured \|$/);
  });

  it('says what was measured, when, and whether the goal was reached, of a fleet with its size', () => {
    const rows = goalTable([
      report('mixed', { ratios: { mixed8_over_same8: 0.5 }, date: '2026-11-30' }),
      report('fleet', {
        results: { failover_s: { median: 20, p99: 20, n: 1 } },
        ratios: { cpu_exponent: 1 },
        setup: { runtimes: 3, adapters: 2, rollouts: 1 },
      }),
    ]);
    const row = (key: string) => rows.find((line) => line.includes(`\`${key}\``));
    expect(row('mixed8_over_same8')).toContain('| 0.5 | 2026-11-30 | at least 0.95 | **not reached** |');
    expect(row('results.failover_s.median')).toContain(
      '| 20 at 3 x 2 x 1 |  | at most 30 at 1,000 x 10,000 x 200 | the saved report is of a smaller fleet |',
    );
    expect(row('cpu_exponent')).toContain('| 1 up to 3 x 2 x 1 |  | at most 1.1 | reached |');
  });
});
