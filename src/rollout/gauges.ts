import type { RolloutObject } from '../api/objects.ts';
import type { MetricFamily } from '../telemetry/exposition.ts';
import { strategyNameOf } from './strategy.ts';

/** Metrics of rollouts, told by whoever decides about them: the leader, or a node alone. */
export const rolloutMetrics = {
  phases: { name: 'adaptlet_rollouts', help: 'Rollouts, by phase.' },
  info: {
    name: 'adaptlet_rollout_info',
    help: 'Always 1; labels are the strategy and the phase of a rollout.',
  },
  weight: { name: 'adaptlet_rollout_weight', help: 'Percent of requests that are allowed for the canary.' },
  runtimes: {
    name: 'adaptlet_rollout_runtimes',
    help: 'Runtimes of a rollout, by state: desired, updated, ready, failed, held, offline, cordoned, notReady, setAside.',
  },
  metricPhase: {
    name: 'adaptlet_rollout_metric_phase',
    help: 'Always 1; labels are a metric of the analysis and what was found: Running, Success, Failed, Inconclusive, Error. step: number of its step, empty beside the steps.',
  },
  metricValue: {
    name: 'adaptlet_rollout_metric_value',
    help: 'What was measured last of a metric of the analysis; as in status.analysis.',
  },
} as const;

/** Rollouts that have metrics of their own; all others are in `adaptlet_rollouts` only. */
export const maxToldRollouts = 1000;

const phaseOf = ({ status }: RolloutObject): string => status?.phase ?? 'Progressing';

const nameOf = ({ metadata: { namespace, name } }: RolloutObject) => ({ namespace, name });

const metricsOf = (rollout: RolloutObject) =>
  (rollout.status?.analysis ?? []).map(({ name: metric, step, phase, value }) => ({
    labels: { ...nameOf(rollout), metric, step: step === undefined ? '' : `${step + 1}` },
    phase,
    value,
  }));

const phasesOf = (rollouts: readonly RolloutObject[]): MetricFamily['samples'] => {
  const counts: Record<string, number> = { Healthy: 0, Progressing: 0, Paused: 0, Degraded: 0 };
  for (const rollout of rollouts) counts[phaseOf(rollout)] = (counts[phaseOf(rollout)] ?? 0) + 1;
  return Object.entries(counts).map(([phase, value]) => ({ labels: { phase }, value }));
};

/** Where rollouts stand, from their statuses: a rollout that is gone has no series any more. */
export const rolloutGauges = (rollouts: readonly RolloutObject[]): MetricFamily[] => {
  const m = rolloutMetrics;
  const told = rollouts.slice(0, maxToldRollouts);
  const metrics = told.flatMap(metricsOf);
  return [
    { ...m.phases, samples: phasesOf(rollouts) },
    {
      ...m.info,
      samples: told.map((rollout) => ({
        labels: {
          ...nameOf(rollout),
          strategy: strategyNameOf(rollout.spec.strategy),
          phase: phaseOf(rollout),
        },
        value: 1,
      })),
    },
    {
      ...m.weight,
      samples: told.map((rollout) => ({
        labels: nameOf(rollout),
        value: rollout.status?.weights.canary ?? 0,
      })),
    },
    {
      ...m.runtimes,
      samples: told.flatMap((rollout) =>
        Object.entries(rollout.status?.runtimes ?? {}).map(([state, value = 0]) => ({
          labels: { ...nameOf(rollout), state },
          value,
        })),
      ),
    },
    {
      ...m.metricPhase,
      samples: metrics.map(({ labels, phase }) => ({ labels: { ...labels, phase }, value: 1 })),
    },
    {
      ...m.metricValue,
      samples: metrics.flatMap(({ labels, value }) => (value === undefined ? [] : [{ labels, value }])),
    },
  ];
};
