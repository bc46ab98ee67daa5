import { operatorMetrics } from '../../src/operator/metrics.ts';
import { maxToldObjects, objectMetrics } from '../../src/operator/object-gauges.ts';
import { rolloutEventMetrics } from '../../src/operator/rollout/event-counts.ts';
import { maxToldRollouts, rolloutMetrics } from '../../src/rollout/gauges.ts';
import { attributes, metrics, spans } from '../../src/runtime/server/telemetry/names.ts';
import { code, table } from './table.ts';

/** docs/reference/metrics.md: what /metrics has, and what traces carry. */
export const metricsReference = async (): Promise<Map<string, string>> => {
  const text = [
    '# Metrics and traces',
    '',
    'Generated from src/runtime/server/telemetry/names.ts. How to look at them: docs/how-to/watch-a-node.md.',
    '',
    ...table(
      ['metric of GET /metrics', 'what'],
      Object.values(metrics).map(({ name, help }) => [code(name), help]),
    ),
    '',
    '## The operator',
    '',
    'Generated from src/operator/metrics.ts. A reconcile is a span of its own.',
    '',
    ...table(
      ['metric of GET /metrics', 'what'],
      Object.values(operatorMetrics).map(({ name, help }) => [code(name), help]),
    ),
    '',
    '## Rollouts',
    '',
    'Generated from src/rollout/gauges.ts and src/operator/rollout/event-counts.ts. The replica of the operator that leads has them, the',
    'others have none; a runtime without an operator has those that are no counts. Labels are namespace and name; a rollout that',
    `is removed takes its series along. The first ${maxToldRollouts} rollouts have series of their own, the others are in`,
    '`adaptlet_rollouts` only, and their events under the name `other`.',
    '',
    ...table(
      ['metric of GET /metrics', 'what'],
      Object.values({ ...rolloutMetrics, ...rolloutEventMetrics }).map(({ name, help }) => [
        code(name),
        help,
      ]),
    ),
    '',
    '## Objects that need a look',
    '',
    'Generated from src/operator/object-gauges.ts. The leader has them, with at most',
    `${maxToldObjects} series each. The chart makes [alerts](../how-to/alerts.md) of them.`,
    '',
    ...table(
      ['metric of GET /metrics', 'what'],
      Object.values(objectMetrics).map(({ name, help }) => [code(name), help]),
    ),
    '',
    '## Traces of a runtime',
    '',
    `A request is the span ${code(spans.request)}, below that of its caller (\`traceparent\`). In it, one after the other: ${code(spans.route)},`,
    `${code(spans.load)} and ${code(spans.engine)}; in that ${code(spans.queue)}, ${code(spans.prefill)} and ${code(spans.decode)}.`,
    `Attributes: ${Object.values(attributes).map(code).join(', ')}.`,
    '',
  ].join('\n');
  return new Map([['docs/reference/metrics.md', text]]);
};
