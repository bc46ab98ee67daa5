import type { RolloutObject } from '../../api/objects.ts';
import type { MetricStatus, RolloutStatus } from '../../api/rollout-status.ts';
import { inUnit, type Unit, unitsOf } from '../../rollout/analysis/unit.ts';
import { abReport, sidesOf } from '../ab-report.ts';
import { cutTo, inColumns, widthOf } from '../columns.ts';
import { takenText, whereOf } from '../rollout-text.ts';
import { icon } from './output.ts';

/** A message in fewer columns says nothing; those that decide are told above in full. */
const minMessage = 24;

const tones = {
  Running: 'waiting',
  Success: 'good',
  Failed: 'bad',
  Inconclusive: 'unsure',
  Error: 'troubled',
} as const;

/** What is measured no more, and never failed, is neither running nor a success. */
const isOver = ({ canary, abort }: RolloutStatus): boolean => canary === undefined || abort !== undefined;

const rowOf = (metric: MetricStatus, over: boolean, unit: Unit): string[] => {
  const ended = over && metric.phase === 'Running';
  return [
    `${icon(ended ? 'quiet' : tones[metric.phase])} ${metric.name}`,
    whereOf(metric),
    ended ? 'Ended' : metric.phase,
    takenText(metric),
    metric.value === undefined ? '' : inUnit(metric.value, unit),
    metric.bound === undefined ? '' : inUnit(metric.bound, unit),
  ];
};

/**
 * What was measured, one line for each metric, and the report of an A/B test. Empty when nothing was. `width`: columns of
 * the terminal; undefined: as many as it takes.
 */
export const analysisView = ({ spec, status }: RolloutObject, width: number | undefined): string[] => {
  const metrics = status?.analysis ?? [];
  if (status === undefined || metrics.length === 0) return [];
  const unitOf = unitsOf(spec.strategy, status.analyses);
  const rows = inColumns([
    ['ANALYSIS', 'WHERE', 'PHASE', 'TAKEN', 'VALUE', 'BOUND', ''],
    ...metrics.map((metric) => [...rowOf(metric, isOver(status), unitOf(metric)), '']),
  ]);
  const messageAt = Math.max(...rows.map(widthOf)) + 3;
  const room = width === undefined ? Number.POSITIVE_INFINITY : width - messageAt;
  const messages = ['MESSAGE', ...metrics.map(({ message }) => message)];
  const lines = rows.map((row, i) =>
    room < minMessage
      ? row
      : `${row}${' '.repeat(messageAt - widthOf(row))}${cutTo(messages[i] ?? '', room)}`.trimEnd(),
  );
  return ['', ...lines, ...metrics.flatMap((metric) => abReport(metric, sidesOf(status)))];
};
