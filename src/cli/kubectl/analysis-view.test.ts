import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { RolloutObject } from '../../api/objects.ts';
import type { MetricStatus, RolloutStatus } from '../../api/rollout-status.ts';
import { readRollout } from '../../operator/objects/read.ts';
import { analysisView } from './analysis-view.ts';
import { rolloutView } from './rollout-view.ts';

const bound = (adapter: string, digit: string) => ({
  adapter,
  uid: `uid-${adapter}`,
  digest: `sha256:${digit.repeat(64)}`,
});

const status = (change: object): object => ({
  observedGeneration: 1,
  phase: 'Paused',
  revision: 7,
  message: 'metric scores: HTTP 503; canary at 50 %: promote goes on, abort gives it up',
  stable: bound('sql-v1', '1'),
  canary: { ...bound('sql-v2', '2'), seed: '0123456789abcdef', attempt: 1 },
  history: [],
  weights: { canary: 50, stable: 50 },
  step: { index: 2, total: 4, hash: 'h', elapsedMs: 0, promoted: false },
  conditions: [],
  ...change,
});

const rollout = (strategy: object, change: object): RolloutObject => {
  const metadata = {
    namespace: 'team-a',
    name: 'sql',
    uid: 'uid-sql',
    resourceVersion: '9',
    generation: 1,
    creationTimestamp: '2026-03-01T10:00:00Z',
  };
  const { object, problems } = readRollout({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterRollout',
    metadata,
    spec: { adapter: 'sql-v2', strategy },
    status: status(change),
  });
  return object ?? expect.fail(JSON.stringify(problems));
};

const metric = (name: string, change: Partial<MetricStatus> = {}): MetricStatus => ({
  name,
  phase: 'Running',
  measured: 12,
  taken: 12,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
  waitedMs: 0,
  message: '',
  ...change,
});

const shown = (object: RolloutObject, width?: number): string =>
  stripVTControlCharacters(analysisView(object, width).join('\n'));

const threshold = (name: string, builtin: string, judge: object) => ({
  name,
  source: { builtin },
  judge: { threshold: { failure: { atLeast: 1 }, ...judge } },
});
const canary = {
  canary: {
    steps: [
      { setWeight: 50 },
      { pause: { duration: '1m' } },
      {
        analysis: {
          duration: '10m',
          metrics: [
            {
              name: 'scores',
              source: { http: { url: 'https://s.example', jsonPath: '$.score' } },
              judge: { threshold: { success: { atLeast: 1 } } },
            },
            threshold('p99', 'Latency', { quantile: 'P99' }),
            threshold('slower', 'Latency', { quantile: 'Mean', of: 'Difference' }),
            threshold('errors', 'ErrorRatio', {}),
            threshold('worse', 'ErrorRatio', { of: 'Ratio' }),
          ],
        },
      },
      { pause: {} },
    ],
    analysis: {},
  },
};
const differs = 'errorRatio of the canary differs by 0.021 from stable, surely by more than 0.005';
const measured = [
  metric('error-ratio', { phase: 'Failed', failed: 1, value: 0.021, bound: 0.005, message: differs }),
  metric('latency', { value: -0.034, bound: -0.12, message: 'latency of the canary differs by -0.034' }),
  metric('sample-ratio', {
    phase: 'Inconclusive',
    inconclusive: 2,
    value: 0.402,
    bound: 0.5,
    message: 'the split',
  }),
  metric('scores', { step: 2, phase: 'Error', taken: 3, consecutiveErrors: 5, message: 'HTTP 503' }),
  metric('p99', {
    step: 2,
    phase: 'Success',
    value: 481.7,
    bound: 500,
    message: 'latencyP99 (Canary) is 482',
  }),
  metric('slower', { step: 2, value: 12.4, bound: 50 }),
  metric('errors', { step: 2, value: 0.0123, bound: 0.05 }),
  metric('worse', { step: 2, value: 1.25, bound: 2 }),
];

describe('the analysis of a rollout', () => {
  it('has a line for each metric: where, how often, the value and its bound in their units, and why', () => {
    expect(shown(rollout(canary, { analysis: measured }))).toMatchSnapshot();
  });

  it('is nothing where nothing was measured', () => {
    expect(shown(rollout(canary, {}))).toBe('');
    expect(shown(rollout(canary, { analysis: [] }))).toBe('');
  });

  it('cuts messages to the terminal, and leaves them out where no room is', () => {
    const object = rollout(canary, { analysis: measured });
    const lines = shown(object, 130).split('\n');
    expect(Math.max(...lines.map((line) => Array.from(line).length))).toBe(130);
    expect(lines.some((line) => line.endsWith('…'))).toBe(true);
    expect(shown(object, 100)).not.toContain('MESSAGE');
    expect(shown(object, 100)).toContain('+2.1 points');
  });

  it('says of a rollout that is over that what never failed has ended, not that it runs', () => {
    const running = [metric('latency')];
    expect(shown(rollout(canary, { analysis: running }))).toMatch(/◌ latency .* Running/);
    const abort = { at: '2026-03-01T11:00:00Z', reason: 'r', uid: 'u', digest: bound('', '2').digest };
    expect(shown(rollout(canary, { analysis: running, abort }))).toMatch(/○ latency .* Ended/);
    expect(shown(rollout(canary, { analysis: running, canary: undefined }))).toMatch(/○ latency .* Ended/);
  });

  it('shows numbers as they are when the metric is not in the spec any more', () => {
    expect(shown(rollout({ canary: { steps: [] } }, { analysis: measured }))).toMatch(
      /error-ratio .* 0\.021 +0\.005/,
    );
  });

  it('is the last part of the view', () => {
    const text = stripVTControlCharacters(rolloutView(rollout(canary, { analysis: measured }), [], 0));
    expect(text).toMatch(/NAME +STATUS +INFO[\s\S]*\n\nANALYSIS +WHERE/);
  });
});

describe('the report of an A/B test', () => {
  const abTest = { abTest: { duration: '24h' } };
  const variants = {
    stable: { count: 812, mean: 0.61, low: 0.553, high: 0.668 },
    canary: { count: 790, mean: 0.724, low: 0.66, high: 0.78 },
  };
  const report = (change: Partial<MetricStatus>, more: Partial<RolloutStatus> = {}): string =>
    shown(rollout(abTest, { analysis: [metric('reward', { step: 2, variants, ...change })], ...more }));

  it('says what each side earned, and that the new adapter leads', () => {
    expect(report({ value: 0.114, bound: 0.04, message: 'mean reward of the canary' })).toMatchSnapshot();
  });

  it.each([
    [
      { value: -0.1, bound: -0.02, phase: 'Failed' },
      'stable sql-v1 leads by 0.02 to 0.18 (confidence interval)',
    ],
    // The lower end decides as long as it has not failed.
    [{ value: -0.1, bound: -0.18 }, 'stable sql-v1 leads by 0.02 to 0.18 (confidence interval)'],
    [
      { value: 0.1, bound: -0.05 },
      'cannot be told yet: the confidence interval of canary minus stable is -0.05 to 0.25',
    ],
    [
      { value: 0.1, bound: -0.05, phase: 'Inconclusive' },
      'cannot be told: the confidence interval of canary minus stable',
    ],
    [{ value: 0.1, bound: 0.1 }, 'cannot be told yet: the confidence interval of canary minus stable'],
    [{ message: '12 observations' }, 'cannot be told yet: 12 observations'],
    [{ message: '12 observations', phase: 'Inconclusive' }, 'cannot be told: 12 observations'],
  ] as const)('says of %j who leads', (change, text) => {
    expect(report(change)).toContain(`A/B test by reward: ${text}`);
  });

  it('names a side that has feedback of too few callers, or always the same', () => {
    expect(report({ variants: { stable: variants.stable } })).toMatch(/canary sql-v2 +too few callers$/m);
    const same = { count: 5, mean: 1, low: 1, high: 1 };
    expect(report({ variants: { canary: same } })).toMatch(/canary sql-v2 +5 +1 +cannot be told yet$/m);
  });

  it('knows the sides by name after the new one was promoted', () => {
    const promoted = {
      canary: undefined,
      completionStatus: 'Promoted',
      stable: bound('sql-v2', '2'),
      history: [bound('sql-v1', '1')],
    } as unknown as Partial<RolloutStatus>;
    expect(report({ value: 0.114, bound: 0.04, phase: 'Success' }, promoted)).toContain(
      'canary sql-v2 leads',
    );
    expect(report({}, promoted)).toMatch(/^ +stable sql-v1 +812/m);
  });
});
