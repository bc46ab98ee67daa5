import { z } from 'zod';
import { metricPolicyShape } from '../../api/analysis.ts';
import { parseDuration } from '../../api/duration.ts';
import type { Moment, Verdict } from './verdict.ts';

/** When a metric is measured and how much it may fail. */
export const metricPolicySchema = z.strictObject(metricPolicyShape);
export type MetricPolicy = z.infer<typeof metricPolicySchema>;

/** A verdict, or Error: the metric could not be measured. */
export type Measurement = Verdict['verdict'] | 'Error';

export type Phase = 'Running' | 'Success' | 'Failed' | 'Inconclusive' | 'Error';

/** All that has to be remembered of a metric: a fold over its measurements, small enough for a status. */
export type Assessment = {
  readonly phase: Phase;
  /** Without those that could not be measured. */
  readonly taken: number;
  readonly failed: number;
  readonly inconclusive: number;
  readonly consecutiveErrors: number;
};

export const notMeasured: Assessment = {
  phase: 'Running',
  taken: 0,
  failed: 0,
  inconclusive: 0,
  consecutiveErrors: 0,
};

/**
 * One more measurement. The first limit that is exceeded decides for good. Limits are what is put up with: the default
 * failureLimit 0 fails at the first failure.
 *
 * Running (a sequential judge that has not decided) counts as taken and nothing else. Error is not taken, and any other
 * measurement ends the row of errors.
 */
export const observeMeasurement = (
  before: Assessment,
  measurement: Measurement,
  policy: MetricPolicy,
): Assessment => {
  if (before.phase !== 'Running') return before;
  const counted: Assessment =
    measurement === 'Error'
      ? { ...before, consecutiveErrors: before.consecutiveErrors + 1 }
      : {
          phase: 'Running',
          taken: before.taken + 1,
          failed: before.failed + (measurement === 'Fail' ? 1 : 0),
          inconclusive: before.inconclusive + (measurement === 'Inconclusive' ? 1 : 0),
          consecutiveErrors: 0,
        };
  return { ...counted, phase: phaseOf(counted, policy) };
};

const phaseOf = (
  { taken, failed, inconclusive, consecutiveErrors }: Assessment,
  policy: MetricPolicy,
): Phase => {
  if (failed > policy.failureLimit) return 'Failed';
  if (inconclusive > policy.inconclusiveLimit) return 'Inconclusive';
  if (consecutiveErrors > policy.consecutiveErrorLimit) return 'Error';
  return taken >= (policy.count ?? Infinity) ? 'Success' : 'Running';
};

/** The next measurement of a metric that is still Running, and whether it is its last. */
export const nextMeasurement = (
  { phase, taken, consecutiveErrors }: Assessment,
  policy: MetricPolicy,
): { readonly afterMs: number; readonly moment: Moment } | undefined => {
  if (phase !== 'Running') return undefined;
  const first = taken + consecutiveErrors === 0;
  const delay = first ? policy.initialDelay : policy.interval;
  return {
    afterMs: delay === undefined ? 0 : parseDuration(delay),
    moment: taken + 1 === policy.count ? 'end' : 'during',
  };
};

/** What a step should do after its metrics. Wait: they are still measured. */
export type Conclusion = 'RollBack' | 'Pause' | 'Wait' | 'Advance';

/**
 * All metrics of a step together. Only a Guardrail that failed rolls back; what could not be measured or told never does.
 * `ended`: the step's time is over; a metric that is still Running has then not failed.
 */
export const conclude = (
  metrics: readonly { readonly class: MetricPolicy['class']; readonly phase: Phase }[],
  { ended, onInconclusive }: { readonly ended: boolean; readonly onInconclusive: 'Pause' | 'Continue' },
): Conclusion => {
  if (metrics.some((metric) => metric.class === 'Guardrail' && metric.phase === 'Failed')) return 'RollBack';
  if (metrics.some(({ phase }) => phase === 'Failed' || phase === 'Error')) return 'Pause';
  if (onInconclusive === 'Pause' && metrics.some(({ phase }) => phase === 'Inconclusive')) return 'Pause';
  return !ended && metrics.some(({ phase }) => phase === 'Running') ? 'Wait' : 'Advance';
};
