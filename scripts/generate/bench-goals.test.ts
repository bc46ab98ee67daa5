import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../test/bench/report.ts';
import { goals, isReached, valueOf } from './bench-goals.ts';

const report: Report = {
  bench: 'b',
  unit: 'ms',
  results: { cold: { median: 3, p99: 9, n: 5 } },
  ratios: { base: 1.5 },
  setup: {},
  machine: { cores: 2, cpu: 'c', node: 'v24', loadavg: 1 },
};

describe('a goal of a bench', () => {
  it('finds its number among ratios, medians and 99th percentiles', () => {
    const keys = ['base', 'results.cold.median', 'results.cold.p99', 'results.warm.p99', 'other'];
    expect(keys.map((key) => valueOf(report, key))).toEqual([1.5, 3, 9, undefined, undefined]);
  });

  it('is reached at its bound, from the right side', () => {
    const reached = (bound: 'at most' | 'at least') =>
      [0.9, 1, 1.1].map((measured) =>
        isReached({ bench: 'b', key: 'k', what: '', bound, value: 1 }, measured),
      );
    expect(reached('at most')).toEqual([true, true, false]);
    expect(reached('at least')).toEqual([false, true, true]);
  });

  it.each(['tenants', 'side-channel'])(
    'between namespaces is reached by what was measured last: %s',
    (bench) => {
      const file = join(import.meta.dirname, `../../docs/reference/performance/${bench}.json`);
      const measured = JSON.parse(readFileSync(file, 'utf8')) as Report;
      const own = goals.filter((goal) => goal.bench === bench);
      expect(own).toHaveLength(2);
      for (const goal of own)
        expect([goal.key, isReached(goal, valueOf(measured, goal.key) ?? Number.NaN)]).toEqual([
          goal.key,
          true,
        ]);
    },
  );
});
