import type { Metric } from '../../api/analysis.ts';
import { analysisRefs } from '../../api/analysis-places.ts';
import type { AnalysisObject, RolloutObject } from '../../api/objects.ts';
import { table } from '../table.ts';
import { fieldLine } from './output.ts';

const sourceText = ({ builtin, prometheus, http }: Metric['source']): string =>
  builtin ?? prometheus?.address ?? http?.url ?? '';

const judgeText = ({ source, judge }: Metric): string => {
  if (source.builtin === 'SampleRatio') return 'sampleRatio';
  return Object.keys(judge ?? { sequential: {} }).join(', ');
};

/** An AdapterAnalysis as text: its metrics, and which of these rollouts refer to it. */
export const metricsView = (
  { metadata, spec }: AnalysisObject,
  rollouts: readonly RolloutObject[],
): string => {
  const users = rollouts
    .filter((rollout) => analysisRefs(rollout.spec.strategy).includes(metadata.name))
    .map((rollout) => rollout.metadata.name);
  const metrics = spec.metrics?.map((metric) => [
    metric.name,
    sourceText(metric.source),
    judgeText(metric),
    metric.class,
    metric.interval,
    `${metric.count ?? ''}`,
  ]);
  return [
    fieldLine('Name', metadata.name),
    fieldLine('Namespace', metadata.namespace),
    ...(spec.duration === undefined ? [] : [fieldLine('Duration', spec.duration)]),
    fieldLine('Inconclusive', spec.onInconclusive),
    fieldLine('Rollouts', users.length === 0 ? 'none' : users.join(', ')),
    '',
    metrics === undefined
      ? 'The default metrics: ErrorRatio, Latency and SampleRatio.\n'
      : table(['METRIC', 'SOURCE', 'JUDGE', 'CLASS', 'INTERVAL', 'COUNT'], metrics),
  ].join('\n');
};
