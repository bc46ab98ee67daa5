import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Report } from '../../test/bench/report.ts';
import { type Goal, goals, isReached, outcomeOf, sizeText, valueOf } from './bench-goals.ts';

const report: Report = {
  bench: 'b',
  unit: 'ms',
  results: {
    cold: { median: 3, p99: 9, n: 5 },
    '2 rules, prefixes': { median: 1, p99: 2, n: 5 },
    'top_p 0.9': { median: 4, p99: 8, n: 5 },
  },
  ratios: { base: 1.5, half: 0.75 },
  setup: {},
  machine: { cores: 2, cpu: 'c', node: 'v24', loadavg: 1 },
};

const folder = join(import.meta.dirname, '../../docs/reference/performance');
const savedReport = (bench: string): Report =>
  JSON.parse(readFileSync(join(folder, `${bench}.json`), 'utf8')) as Report;

const fleet = (
  [runtimes, adapters, rollouts]: readonly [number, number, number],
  { rss = 100, exponent }: { readonly rss?: number; readonly exponent?: number } = {},
): Report => ({
  ...report,
  bench: 'fleet',
  results: { operator_rss_mib: { median: rss, p99: rss, n: 1 } },
  ratios: exponent === undefined ? {} : { rss_exponent: exponent },
  setup: { runtimes, adapters, rollouts },
});

describe('a goal for a fleet of a size', () => {
  const goal: Goal = {
    bench: 'fleet',
    key: 'results.operator_rss_mib.p99',
    what: '',
    bound: 'at most',
    value: 512,
    of: { runtimes: 1000, adapters: 10_000, rollouts: 200 },
  };
  const [small, counted, large] = [
    fleet([300, 500, 20], { exponent: 0.5 }),
    fleet([3000, 100, 4], { exponent: 1.2, rss: 900 }),
    fleet([1000, 10_000, 200], { rss: 400 }),
  ];

  it('is not measured by a smaller fleet that would reach it, whichever count is smaller', () => {
    for (const one of [small, fleet([3000, 10_000, 100]), fleet([3000, 9999, 200])])
      expect(outcomeOf(goal, [one])).toMatchObject({ verdict: 'NotMeasured', value: 100 });
  });

  it('is reached by one as large, and missed by one of any size that does not reach it', () => {
    expect(outcomeOf(goal, [large])).toMatchObject({ verdict: 'Reached' });
    expect(outcomeOf(goal, [fleet([1000, 10_000, 200], { rss: 513 })])).toMatchObject({
      verdict: 'NotReached',
    });
    expect(outcomeOf(goal, [fleet([300, 500, 20], { rss: 513 })])).toMatchObject({ verdict: 'NotReached' });
  });

  it('is judged by the report with the most objects, an exponent by the longest curve', () => {
    expect(outcomeOf(goal, [counted, small, large])).toMatchObject({ value: 400 });
    expect(outcomeOf(goal, [counted, small])).toMatchObject({ value: 100 });
    const exponent = goals.find(({ key }) => key === 'rss_exponent') ?? expect.fail();
    expect(outcomeOf(exponent, [small, counted, large])).toMatchObject({ value: 1.2, verdict: 'NotReached' });
    expect(outcomeOf(goal, [report])).toBeUndefined();
  });

  it('has a fleet for each of its numbers, and curves for the others', () => {
    const own = goals.filter(({ bench }) => bench === 'fleet');
    expect(own.map(({ key, of }) => [key, of !== undefined])).toEqual(
      own.map(({ key }) => [key, key.startsWith('results.')]),
    );
    expect(sizeText(goal.of ?? expect.fail())).toBe('1,000 x 10,000 x 200');
  });
});

describe('a goal of a bench', () => {
  it('finds its number among ratios, medians and 99th percentiles', () => {
    const keys = ['base', 'results.cold.median', 'results.cold.p99', 'results.warm.p99', 'other'];
    expect(keys.map((key) => valueOf(report, key))).toEqual([1.5, 3, 9, undefined, undefined]);
    expect(valueOf(report, 'results.top_p 0.9.p99')).toBe(8);
  });

  it('finds the largest 99th percentile of all results', () => {
    expect(valueOf(report, 'results.*.p99')).toBe(9);
  });

  it('finds numbers whose names have spaces, and one over another where both are measured', () => {
    const keys = ['results.2 rules, prefixes.p99', 'base / half', 'results.cold.p99 / base', 'base / other'];
    expect(keys.map((key) => valueOf(report, key))).toEqual([2, 2, 6, undefined]);
  });

  it('of routing, structured output and attacks has its number in each report that is saved', () => {
    const saved = readdirSync(folder).flatMap((file) => {
      const bench = file.replace('.json', '');
      return ['routing', 'structured', 'hostile'].includes(bench) ? [bench] : [];
    });
    expect(saved).toContain('hostile');
    const missing = goals.filter(
      ({ bench, key }) => saved.includes(bench) && valueOf(savedReport(bench), key) === undefined,
    );
    expect(missing.map(({ key }) => key)).toEqual([]);
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
      const measured = savedReport(bench);
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
