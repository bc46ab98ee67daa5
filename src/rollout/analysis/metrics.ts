import type {
  AnalysisStep,
  BuiltinMetric,
  ExternalSource,
  JudgeChoice,
  Metric,
  MetricSource,
} from '../../api/analysis.ts';
import { type MetricPolicy, metricPolicySchema } from '../judge/assess.ts';
import {
  type Conditions,
  defaultJudges,
  type JudgeSpec,
  judgeSpecSchema,
  type ThresholdSpec,
} from '../judge/spec.ts';
import type { MismatchSpec } from './mismatch.ts';

/** A metric as it is measured: from what the runtimes count, or from elsewhere and against limits. */
export type MeasuredMetric = {
  readonly name: string;
  readonly policy: MetricPolicy;
  readonly by:
    | { readonly kind: 'counted'; readonly judge: JudgeSpec }
    | { readonly kind: 'mirrored'; readonly judge: MismatchSpec }
    | {
        readonly kind: 'fetched';
        readonly source: ExternalSource;
        readonly conditions: Conditions;
      };
};

const guardrail = metricPolicySchema.parse({});
const signal = metricPolicySchema.parse({ class: 'Signal' });

/** What an analysis measures that names no metrics. */
const defaultMetrics: readonly MeasuredMetric[] = [
  { name: 'error-ratio', policy: guardrail, by: { kind: 'counted', judge: defaultJudges.errorRatio } },
  { name: 'latency', policy: guardrail, by: { kind: 'counted', judge: defaultJudges.latency } },
  { name: 'sample-ratio', policy: signal, by: { kind: 'counted', judge: defaultJudges.sampleRatio } },
];

const measures = { ErrorRatio: 'errorRatio', Latency: 'latency', Reward: 'reward' } as const;

const valueOf = (
  measure: 'errorRatio' | 'latency' | 'reward',
  quantile: NonNullable<JudgeChoice['threshold']>['quantile'],
): ThresholdSpec['value'] => (measure === 'latency' ? `latency${quantile}` : measure);

const judgeOf = (
  builtin: Exclude<BuiltinMetric, 'Mismatch'>,
  { sequential, threshold, mannWhitney, comparison }: JudgeChoice,
): JudgeSpec => {
  if (builtin === 'SampleRatio') return defaultJudges.sampleRatio;
  const measure = measures[builtin];
  if (mannWhitney !== undefined) return { type: 'mannWhitney', ...mannWhitney };
  if (comparison !== undefined) return { type: 'reward', ...comparison };
  if (threshold !== undefined) {
    const { quantile, ...limits } = threshold;
    return { type: 'threshold', value: valueOf(measure, quantile), ...limits };
  }
  return sequential === undefined
    ? judgeSpecSchema.parse({ type: 'sequential', measure })
    : { type: 'sequential', measure, ...sequential };
};

/** The one that a metric has; the schema lets none through that has neither. */
const externalOf = ({ prometheus, http }: MetricSource): ExternalSource => {
  if (prometheus !== undefined) return { prometheus };
  if (http !== undefined) return { http };
  throw new RangeError('a metric has exactly one source');
};

const measured = ({ name, source, judge = {}, ...policy }: Metric): MeasuredMetric => {
  const { builtin } = source;
  if (builtin !== undefined && builtin !== 'Mismatch')
    return { name, policy, by: { kind: 'counted', judge: judgeOf(builtin, judge) } };
  const { success, failure, minSampleSize = 0 } = judge.threshold ?? {};
  const conditions = {
    ...(success === undefined ? {} : { success }),
    ...(failure === undefined ? {} : { failure }),
  };
  if (builtin === 'Mismatch')
    return { name, policy, by: { kind: 'mirrored', judge: { conditions, minSampleSize } } };
  return { name, policy, by: { kind: 'fetched', source: externalOf(source), conditions } };
};

/** The metrics of an analysis, in their order. */
export const metricsOf = ({ metrics }: Pick<AnalysisStep, 'metrics'>): readonly MeasuredMetric[] =>
  metrics?.map(measured) ?? defaultMetrics;
