import { defineErrors } from './define.ts';

/** Metrics that are asked of a server. */
export const measurementErrors = defineErrors({
  METRIC_UNAVAILABLE: {
    summary: 'The server of a metric of a rollout does not answer, or answers with an error.',
    advice: 'It is asked again by itself; check its address, and that it can be reached from here.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  METRIC_UNREADABLE: {
    summary: 'The answer of a server to a metric of a rollout is not one number.',
    advice: 'Change the source of the metric so that it gives exactly one number.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  METRIC_CREDENTIALS: {
    summary: 'The credentials that a metric of a rollout names cannot be used.',
    advice: 'Check the Secret, its key and its label adaptlet.io/metrics: "true".',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  METRIC_DENIED: {
    summary: 'A metric of a rollout names a host that the administrator does not allow.',
    advice: 'Ask the administrator to add the host to metricHosts of the operator, or use another host.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
});
