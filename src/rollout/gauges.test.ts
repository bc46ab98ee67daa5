import { describe, expect, it } from 'vitest';
import type { RolloutObject } from '../api/objects.ts';
import { type RolloutSpec, rolloutSpecSchema } from '../api/rollout.ts';
import type { MetricStatus, RolloutStatus } from '../api/rollout-status.ts';
import { exposition } from '../telemetry/exposition.ts';
import { maxToldRollouts, rolloutGauges, rolloutMetrics } from './gauges.ts';

const text = (...rollouts: readonly RolloutObject[]): string => exposition(rolloutGauges(rollouts));
const samples = (of: string): string[] => of.split('\n').filter((line) => /^[^#]/.test(line));

const aRollout = (name: string, spec: Partial<RolloutSpec> = {}, status?: RolloutStatus): RolloutObject => ({
  kind: 'AdapterRollout',
  metadata: {
    namespace: 'team-a',
    name,
    uid: `uid-${name}`,
    generation: 1,
    creationTimestamp: '2026-03-01T10:00:00Z',
    annotations: {},
    labels: {},
  },
  spec: rolloutSpecSchema.parse({ adapter: 'v2', ...spec }),
  ...(status === undefined ? {} : { status }),
});

const aStatus = (more: Partial<RolloutStatus> = {}): RolloutStatus => ({
  observedGeneration: 1,
  phase: 'Healthy',
  revision: 7,
  message: '',
  history: [],
  weights: { canary: 0, stable: 100 },
  conditions: [],
  ...more,
});

const metric = (name: string, change: Partial<MetricStatus> = {}): MetricStatus => ({
  name,
  phase: 'Running',
  measured: 1,
  taken: 1,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
  waitedMs: 0,
  message: '',
  ...change,
});

const sql = aRollout(
  'sql',
  { strategy: { canary: { steps: [], hashOn: 'User' } } },
  aStatus({
    phase: 'Paused',
    weights: { canary: 25, stable: 75 },
    runtimes: { desired: 3, updated: 3, ready: 2, failed: 1, held: 0, offline: 4 },
    analysis: [
      metric('latency', { value: -0.03 }),
      metric('latency', { step: 2, phase: 'Failed', value: 0.5 }),
      metric('scores', { step: 2, phase: 'Error' }),
    ],
  }),
);

describe('the metrics of rollouts', () => {
  it('say phase, strategy, weight and runtimes of each', () => {
    const found = samples(text(sql));
    const name = 'namespace="team-a",name="sql"';
    expect(found).toContain(`adaptlet_rollout_info{${name},strategy="canary",phase="Paused"} 1`);
    expect(found).toContain(`adaptlet_rollout_weight{${name}} 25`);
    expect(found).toContain(`adaptlet_rollout_runtimes{${name},state="offline"} 4`);
    expect(found.filter((line) => line.startsWith('adaptlet_rollout_runtimes'))).toHaveLength(6);
  });

  it('say what was found of each metric of an analysis, and its value where there is one', () => {
    const found = samples(text(sql)).filter((line) => line.startsWith('adaptlet_rollout_metric'));
    const name = 'namespace="team-a",name="sql"';
    expect(found).toEqual([
      `adaptlet_rollout_metric_phase{${name},metric="latency",step="",phase="Running"} 1`,
      `adaptlet_rollout_metric_phase{${name},metric="latency",step="3",phase="Failed"} 1`,
      `adaptlet_rollout_metric_phase{${name},metric="scores",step="3",phase="Error"} 1`,
      `adaptlet_rollout_metric_value{${name},metric="latency",step=""} -0.03`,
      `adaptlet_rollout_metric_value{${name},metric="latency",step="3"} 0.5`,
    ]);
  });

  it('have each series once, and their sentences', () => {
    const found = text(sql, aRollout('chat'));
    const series = samples(found).map((line) => line.slice(0, line.lastIndexOf(' ')));
    expect(new Set(series).size).toBe(series.length);
    for (const { name, help } of Object.values(rolloutMetrics))
      expect(found).toContain(`# HELP ${name} ${help}\n# TYPE ${name} gauge\n`);
  });

  it('count a rollout that nobody decided about as Progressing', () => {
    const found = text(aRollout('new'));
    expect(found).toContain('adaptlet_rollouts{phase="Progressing"} 1\n');
    expect(found).toContain('adaptlet_rollouts{phase="Healthy"} 0\n');
    expect(found).toContain('name="new",strategy="canary",phase="Progressing"} 1\n');
  });

  it('are bounded: beyond the limit rollouts are counted only', () => {
    const many = Array.from({ length: maxToldRollouts + 5 }, (_, i) => aRollout(`r${i}`, {}, aStatus()));
    const found = text(...many);
    expect(samples(found).filter((line) => line.startsWith('adaptlet_rollout_info'))).toHaveLength(
      maxToldRollouts,
    );
    expect(found).toContain(`adaptlet_rollouts{phase="Healthy"} ${maxToldRollouts + 5}\n`);
  });
});
