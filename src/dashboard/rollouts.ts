import { conditionOf } from '../api/condition.ts';
import { objectKey } from '../api/names.ts';
import type { RolloutObject } from '../api/objects.ts';
import type { MetricStatus } from '../api/rollout-status.ts';
import type { MetricView, RolloutsView, RolloutView } from './views.ts';

/** RFC 3339 as milliseconds since the epoch; undefined where there is none. */
export const timeOf = (text: string | undefined): number | undefined => {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
};

const metricView = ({ name, step, phase, message, value, bound, variants }: MetricStatus): MetricView => {
  const { stable, canary } = variants ?? {};
  return {
    name: step === undefined ? name : `${name} (step ${step + 1})`,
    phase,
    message,
    ...(value === undefined ? {} : { value }),
    ...(bound === undefined ? {} : { bound }),
    ...(stable && { stable: { low: stable.low, high: stable.high } }),
    ...(canary && { canary: { low: canary.low, high: canary.high } }),
  };
};

/** A rollout as its status says it: that is all that is in force. */
export const rolloutView = ({ metadata, status, spec }: RolloutObject): RolloutView => {
  const { weights, step, runtimes } = status ?? {};
  const [startedAt, finishedAt] = [timeOf(status?.startedAt), timeOf(status?.finishedAt)];
  return {
    key: objectKey(metadata.namespace, metadata.name),
    phase: status?.phase ?? 'Progressing',
    reason: conditionOf(status?.conditions, 'Ready')?.reason ?? '',
    message: status?.message ?? `nothing is decided yet about ${spec.adapter}`,
    stable: status?.stable?.adapter ?? '',
    canary: status?.canary?.adapter ?? '',
    weight: weights?.canary ?? 0,
    ...(weights?.observedCanary === undefined ? {} : { observed: weights.observedCanary }),
    step: step === undefined ? '' : `${Math.min(step.index + 1, step.total)}/${step.total}`,
    groups: (status?.groups ?? []).map(({ name, phase, weight, message }) => ({
      name,
      phase,
      weight,
      message,
    })),
    runtimes: Object.fromEntries(
      Object.entries(runtimes ?? {}).flatMap(([state, count]) =>
        count === undefined ? [] : [[state, count]],
      ),
    ),
    metrics: (status?.analysis ?? []).map(metricView),
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
  };
};

const urgency = ['Degraded', 'Paused', 'Progressing', 'Healthy'];

const inNone = Object.fromEntries(urgency.map((phase) => [phase, 0]));

const phasesOf = (rollouts: readonly RolloutView[]): (readonly [string, number])[] =>
  [...Map.groupBy(rollouts, ({ phase }) => phase)].map(([phase, those]) => [phase, those.length]);

const order = ({ phase }: RolloutView): number => urgency.indexOf(phase);

/** What goes wrong or waits comes first. */
export const pageOfRollouts = (rollouts: readonly RolloutView[], limit: number): RolloutsView => ({
  total: rollouts.length,
  phases: { ...inNone, ...Object.fromEntries(phasesOf(rollouts)) },
  items: rollouts.toSorted((a, b) => order(a) - order(b) || (a.key < b.key ? -1 : 1)).slice(0, limit),
});
