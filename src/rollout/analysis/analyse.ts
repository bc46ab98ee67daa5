import { cut } from '../../api/condition.ts';
import type { MetricStatus } from '../../api/rollout-status.ts';
import {
  type Conclusion,
  conclude,
  type Measurement,
  nextMeasurement,
  observeMeasurement,
} from '../judge/assess.ts';
import type { RewardVerdict } from '../judge/reward.ts';
import type { JudgeSpec } from '../judge/spec.ts';
import { meets } from '../judge/threshold.ts';
import { type Moment, text, type Verdict } from '../judge/verdict.ts';
import type { MeasurementRequest, MeasurementResult } from './measurement.ts';
import type { MeasuredMetric } from './metrics.ts';
import type { MismatchSpec } from './mismatch.ts';

/** What can be known at the moment of a look. */
export type Sight = {
  /** What the counts of runtimes say. */
  readonly counted: (judge: JudgeSpec, moment: Moment) => Verdict | RewardVerdict;
  /** What their copies say. */
  readonly mirrored: (judge: MismatchSpec, moment: Moment) => Verdict;
  readonly measured: (id: string, number: number) => MeasurementResult | undefined;
  /** Of the canary and its attempt: the beginning of every metric's id. */
  readonly subject: string;
};

export type AnalysisInput = {
  readonly metrics: readonly MeasuredMetric[];
  readonly onInconclusive: 'Pause' | 'Continue';
  /** Index of the step; undefined: beside the steps. */
  readonly step: number | undefined;
  readonly before: readonly MetricStatus[];
  /** Milliseconds since the decision before. */
  readonly elapsedMs: number;
  /** The step's time is over: what has not failed by now has succeeded. */
  readonly ended: boolean;
  readonly sight: Sight;
};

export type Analysed = {
  readonly metrics: readonly MetricStatus[];
  readonly conclusion: Conclusion;
  /** Which metric decided and what it found; '' while none has. */
  readonly message: string;
  /** Until the next look; undefined: none is due by time. */
  readonly nextMs: number | undefined;
  readonly wanted: readonly MeasurementRequest[];
};

/**
 * One look at the metrics of an analysis: measures what is due, and says what follows from all of them. Pure: a look that
 * is repeated with the same facts at the same moment finds nothing new to measure.
 */
export const analyse = (input: AnalysisInput): Analysed => {
  const looks = input.metrics.map((metric) => look(metric, input));
  const metrics = looks.map(({ status }) => status);
  const classed = input.metrics.map(({ policy }, i) => ({
    class: policy.class,
    phase: metrics[i]?.phase ?? 'Running',
    said: `metric ${metrics[i]?.name}: ${metrics[i]?.message}`,
  }));
  const conclusion = conclude(classed, {
    ended: input.ended && looks.every(({ wanted }) => wanted === undefined),
    onInconclusive: input.onInconclusive,
  });
  const waits = looks.flatMap(({ nextMs }) => (nextMs === undefined ? [] : [nextMs]));
  return {
    metrics,
    conclusion,
    message: decisiveOf(classed)?.said ?? '',
    nextMs: waits.length === 0 ? undefined : Math.min(...waits),
    wanted: looks.flatMap(({ wanted }) => (wanted === undefined ? [] : [wanted])),
  };
};

type Look = {
  readonly status: MetricStatus;
  readonly nextMs?: number;
  readonly wanted?: MeasurementRequest;
};

const fresh = (name: string, step: number | undefined): MetricStatus => ({
  name,
  ...(step === undefined ? {} : { step }),
  phase: 'Running',
  measured: 0,
  taken: 0,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
  waitedMs: 0,
  message: '',
});

const look = (metric: MeasuredMetric, { before, step, elapsedMs, ended, sight }: AnalysisInput): Look => {
  const known = before.find((status) => status.name === metric.name && status.step === step);
  const status = known ?? fresh(metric.name, step);
  const next = nextMeasurement(status, metric.policy);
  if (next === undefined) return { status };
  const waitedMs = status.waitedMs + (known === undefined ? 0 : elapsedMs);
  const moment: Moment = ended ? 'end' : next.moment;
  // At the end what is counted is looked at once more; what has to be fetched is not asked for before its time.
  const isDue = waitedMs >= next.afterMs || (ended && metric.by.kind !== 'fetched');
  if (!isDue)
    return ended
      ? { status: { ...status, phase: 'Success', waitedMs } }
      : { status: { ...status, waitedMs }, nextMs: next.afterMs - waitedMs };
  const found = measure(metric, status, moment, sight);
  if ('wanted' in found) return { status: { ...status, waitedMs }, wanted: found.wanted };
  const { measurement, ...said } = found;
  const assessed = observeMeasurement(status, measurement, metric.policy);
  const { value: _, bound: __, variants: ___, ...rest } = status;
  const after: MetricStatus = {
    ...rest,
    ...assessed,
    ...(ended && assessed.phase === 'Running' ? { phase: 'Success' } : {}),
    ...said,
    measured: status.measured + 1,
    waitedMs: 0,
  };
  const then = nextMeasurement(after, metric.policy);
  return { status: after, ...(then === undefined ? {} : { nextMs: then.afterMs }) };
};

type Found =
  | { readonly wanted: MeasurementRequest }
  | ({ readonly measurement: Measurement; readonly message: string } & Pick<
      MetricStatus,
      'value' | 'bound' | 'variants'
    >);

const measure = ({ name, by }: MeasuredMetric, status: MetricStatus, moment: Moment, sight: Sight): Found => {
  if (by.kind === 'counted') return saidBy(sight.counted(by.judge, moment));
  if (by.kind === 'mirrored') return saidBy(sight.mirrored(by.judge, moment));
  const id = JSON.stringify([sight.subject, status.step ?? null, name]);
  const number = status.measured;
  const result = sight.measured(id, number);
  if (result === undefined) return { wanted: { id, number, source: by.source } };
  if ('error' in result) return { measurement: 'Error', message: cut(result.error) };
  const { value } = result;
  const limits = Object.entries(by.conditions).map(([what, range]) => `${what} ${JSON.stringify(range)}`);
  return {
    measurement: meets(value, by.conditions),
    message: `it is ${text(value)}: ${limits.join(', ')}`,
    ...(Number.isFinite(value) ? { value } : {}),
  };
};

const finite = (name: 'value' | 'bound', number: number | undefined) =>
  number !== undefined && Number.isFinite(number) ? { [name]: number } : {};

const saidBy = (verdict: Verdict | RewardVerdict): Found => ({
  measurement: verdict.verdict,
  message: cut(verdict.message),
  ...finite('value', verdict.statistic),
  ...finite('bound', verdict.bound),
  ...('variants' in verdict ? { variants: verdict.variants } : {}),
});

/** What decided: a guardrail that failed before anything that only pauses, and the first of its kind. */
const decisiveOf = <M extends { readonly class: string; readonly phase: MetricStatus['phase'] }>(
  metrics: readonly M[],
): M | undefined =>
  metrics.find((metric) => metric.phase === 'Failed' && metric.class === 'Guardrail') ??
  metrics.find(({ phase }) => phase === 'Failed') ??
  metrics.find(({ phase }) => phase === 'Error') ??
  metrics.find(({ phase }) => phase === 'Inconclusive');
